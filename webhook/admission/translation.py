"""Native cpu and memory become batch or mid resources, by the pod's priority class.

CPU turns into whole milli-cores, rounded up; memory keeps its text. A batch or mid
figure that is already there wins over a native one: the user's figure, translated on
an earlier call, must not give way to a default that LimitRanger added afterwards.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from webhook.admission.editor import Cause
from webhook.admission.pod import SECTIONS, Container, Denial, Denied, PodEdit, containers
from webhook.admission.quantities import MAX, milli, parse, text_of
from webhook.protocol import CPU


def translate(pod: PodEdit, table: Mapping[str, str], cause: Cause, *, again: bool) -> Counter[str]:
    """Translate the resources of every container.

    Args:
        pod: the pod under edit.
        table: what native resources become, a row of ``protocol.TRANSLATION``.
        cause: who wants it.
        again: the pod was translated on an earlier call, so that a native figure beside
            a batch or mid one, in requests or limits, is a default that came after it.

    Returns:
        How many figures were translated, by the name of the new resource.
    """
    counts: Counter[str] = Counter()
    for container in list(containers(pod.value)):
        _translate_container(pod, container, table, cause, counts, again=again)
    return counts


def _translate_container(
    pod: PodEdit,
    container: Container,
    table: Mapping[str, str],
    cause: Cause,
    counts: Counter[str],
    *,
    again: bool,
) -> None:
    for resource, name in table.items():
        native = {section: container.quantities(section).get(resource) for section in SECTIONS}
        own = {section: container.quantities(section).get(name) for section in SECTIONS}
        if native["requests"] is native["limits"] is own["limits"] is None:
            continue
        late = again and not own["requests"] is own["limits"] is None
        figures = _figures(container, resource, {} if late else native, own)
        for section in SECTIONS:
            figure = figures.get(section)
            if figure is None and native[section] is None:
                continue
            edit = pod.resources(container).open_object(section)
            if figure is not None and own[section] is None:
                edit.set(name, figure, cause)
                counts[name] += native[section] is not None
            edit.remove(resource, cause)


def _figures(
    container: Container, resource: str, native: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, str]:
    """Return what request and limit shall be, each left out where there is none."""
    figures = {section: text_of(raw) for section, raw in own.items() if raw is not None}
    for section, raw in native.items():
        if raw is not None and section not in figures:
            figures[section] = _translated(container, section, resource, raw)
    request, limit = figures.get("requests"), figures.get("limits")
    if request is None and limit is not None:
        figures["requests"] = limit
    elif request is not None and limit is not None and parse(limit) < parse(request):
        # The API server refuses a limit below the request. Where one of the two was
        # there as a batch or mid figure, it wins over the other, a default most likely.
        if own["requests"] is not None and own["limits"] is None:
            del figures["limits"]
        elif own["limits"] is not None and own["requests"] is None:
            figures["requests"] = limit
    return figures


def _translated(container: Container, section: str, resource: str, raw: object) -> str:
    """Return the batch or mid quantity for a native one."""
    text = text_of(raw)
    if resource != CPU:
        return text
    count = milli(text)
    if count > MAX:
        raise Denied(
            Denial(
                f"spec.{container.kind}[{container.position}].resources.{section}[{resource}]: "
                f"{text!r} is more milli-cores than 2^63 - 1: ask for less"
            )
        )
    return str(count)
