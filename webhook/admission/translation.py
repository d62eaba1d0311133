"""Native cpu and memory become batch or mid resources, by the pod's priority class.

CPU turns into whole milli-cores, rounded up; memory keeps its text. A batch or mid
figure that is already there wins over a native one: the user's figure, translated on
an earlier call, must not give way to a default that LimitRanger added afterwards.
"""

from collections import Counter
from collections.abc import Mapping

from webhook.admission.editor import Cause
from webhook.admission.pod import SECTIONS, Container, PodEdit, containers
from webhook.admission.quantities import milli, text_of
from webhook.protocol import CPU, NATIVE_RESOURCES


def translated_text(resource: str, raw: object) -> str:
    """Return the batch or mid quantity for a native one."""
    text = text_of(raw)
    return str(milli(text)) if resource == CPU else text


def translate(pod: PodEdit, table: Mapping[str, str], cause: Cause) -> Counter[str]:
    """Translate the resources of every container.

    Args:
        pod: the pod under edit.
        table: what native resources become, a row of ``protocol.TRANSLATION``.
        cause: who wants it.

    Returns:
        How many figures were translated, by the name of the new resource.
    """
    counts: Counter[str] = Counter()
    for container in list(containers(pod.value)):
        _translate_container(pod, container, table, cause, counts)
    return counts


def _translate_container(
    pod: PodEdit, container: Container, table: Mapping[str, str], cause: Cause, counts: Counter[str]
) -> None:
    sections = {section: container.quantities(section) for section in SECTIONS}
    for section, present in sections.items():
        native = [resource for resource in NATIVE_RESOURCES if resource in present]
        if not native:
            continue
        edit = pod.resources(container).open_object(section)
        for resource in native:
            name = table[resource]
            if name not in present:
                edit.set(name, translated_text(resource, present[resource]), cause)
                counts[name] += 1
            edit.remove(resource, cause)
        sections[section] = edit.value
    limits, requests = sections["limits"], sections["requests"]
    for name in table.values():
        if name in limits and name not in requests:
            edit = pod.resources(container).open_object("requests")
            edit.set(name, text_of(limits[name]), cause)
