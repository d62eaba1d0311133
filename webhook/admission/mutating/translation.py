"""Translation of native cpu and memory into batch or mid resources, by the pod's priority class.

CPU becomes whole milli-cores, rounded up; the text of memory stays the same. An existing
batch or mid quantity wins over a native one: the user's quantity, translated on an earlier
call, must not be replaced by a default that LimitRanger added afterwards.
"""

from collections.abc import Mapping

from webhook.admission.editor import Cause, ObjectEdit
from webhook.admission.podedit import Denied, PodEdit
from webhook.pods.pod import Container, containers
from webhook.pods.quantities import MAX, milli, parse, text_of
from webhook.pods.text import shown
from webhook.protocol import CPU


def translate(pod: PodEdit, table: Mapping[str, str], cause: Cause, *, reinvoked: bool) -> dict[str, int]:
    """Translate the resources of every container.

    Args:
        pod: the pod under edit.
        table: the new resource for each native one, a row of ``protocol.TRANSLATION``.
        cause: the cause of the change.
        reinvoked: the pod was translated on an earlier call, so a native quantity next to a
            batch or mid one, in requests or limits, is a default that was added since.

    Returns:
        How many quantities were translated, by the name of the new resource.
    """
    counts = dict.fromkeys(table.values(), 0)
    for container in list(containers(pod.value)):
        _translate_container(pod, container, table, cause, counts, reinvoked=reinvoked)
    return {name: count for name, count in counts.items() if count}


def _translate_container(
    pod: PodEdit,
    container: Container,
    table: Mapping[str, str],
    cause: Cause,
    counts: dict[str, int],
    *,
    reinvoked: bool,
) -> None:
    requests, limits = container.quantities("requests"), container.quantities("limits")
    for resource, name in table.items():
        native_request, native_limit = requests.get(resource), limits.get(resource)
        own_request, own_limit = requests.get(name), limits.get(name)
        if native_request is None and native_limit is None and own_limit is None:
            continue
        request, limit = own_request, own_limit
        if not (reinvoked and (own_request is not None or own_limit is not None)):
            if request is None and native_request is not None:
                request = _translated(container, "requests", resource, native_request)
                counts[name] += 1
            if limit is None and native_limit is not None:
                limit = _translated(container, "limits", resource, native_limit)
                counts[name] += 1
        if request is None:
            request = limit
        elif limit is not None and parse(text_of(limit)) < parse(text_of(request)):
            # The API server refuses a limit below the request. If only one of the two was a
            # batch or mid quantity before, it wins: the other is probably a default.
            if own_limit is None and own_request is not None:
                limit = None
            elif own_request is None and own_limit is not None:
                request = limit
        edit = pod.resources(container)
        _write(edit, "requests", resource, name, request, cause)
        _write(edit, "limits", resource, name, limit, cause)


def _write(
    resources: ObjectEdit, section: str, resource: str, name: str, quantity: object, cause: Cause
) -> None:
    if quantity is None and not resources.get(section):
        return
    edit = resources.open_object(section)
    if quantity is not None:
        edit.set(name, text_of(quantity), cause)
    edit.remove(resource, cause)


def _translated(container: Container, section: str, resource: str, raw: object) -> str:
    """Return the batch or mid quantity for a native one."""
    text = text_of(raw)
    if resource != CPU:
        return text
    count = milli(text)
    if count > MAX:
        raise Denied(
            f"spec.{container.kind}[{container.position}].resources.{section}[{resource}]: "
            f"{shown(text)} is more milli-cores than 2^63 - 1: request less"
        )
    return str(count)
