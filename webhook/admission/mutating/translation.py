"""Native cpu and memory become batch or mid resources, by the pod's priority class.

CPU turns into whole milli-cores, rounded up; memory keeps its text. A batch or mid
figure that is already there wins over a native one: the user's figure, translated on
an earlier call, must not give way to a default that LimitRanger added afterwards.
"""

from collections import Counter
from collections.abc import Mapping

from webhook.admission.editor import Cause, ObjectEdit
from webhook.admission.podedit import Denial, Denied, PodEdit
from webhook.pods.pod import Container, containers
from webhook.pods.quantities import MAX, milli, parse, text_of
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
    requests, limits = container.quantities("requests"), container.quantities("limits")
    for resource, name in table.items():
        native_request, native_limit = requests.get(resource), limits.get(resource)
        own_request, own_limit = requests.get(name), limits.get(name)
        if native_request is None and native_limit is None and own_limit is None:
            continue
        request, limit = own_request, own_limit
        if not (again and (own_request is not None or own_limit is not None)):
            if request is None and native_request is not None:
                request = _translated(container, "requests", resource, native_request)
                counts[name] += 1
            if limit is None and native_limit is not None:
                limit = _translated(container, "limits", resource, native_limit)
                counts[name] += 1
        if request is None:
            request = limit
        elif limit is not None and parse(text_of(limit)) < parse(text_of(request)):
            # The API server refuses a limit below the request. Where one of the two was
            # there as a batch or mid figure, it wins over the other, a default most likely.
            if own_limit is None and own_request is not None:
                limit = None
            elif own_request is None and own_limit is not None:
                request = limit
        edit = pod.resources(container)
        _write(edit, "requests", resource, name, request, cause)
        _write(edit, "limits", resource, name, limit, cause)


def _write(
    resources: ObjectEdit, section: str, resource: str, name: str, figure: object, cause: Cause
) -> None:
    if figure is None and not resources.get(section):
        return
    edit = resources.open_object(section)
    if figure is not None:
        edit.set(name, text_of(figure), cause)
    edit.remove(resource, cause)


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
