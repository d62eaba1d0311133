"""Native cpu and memory become batch or mid resources, by the pod's priority class.

CPU turns into whole milli-cores, rounded up; memory keeps its text. A batch or mid
figure that is already there wins over a native one: the user's figure, translated on
an earlier call, must not give way to a default that LimitRanger added afterwards.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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
    requests, limits = container.quantities("requests"), container.quantities("limits")
    for resource, name in table.items():
        native = _Pair(requests.get(resource), limits.get(resource))
        own = _Pair(requests.get(name), limits.get(name))
        if native == _NOTHING and own.limit is None:
            continue
        late = again and own != _NOTHING
        figures = _figures(container, resource, _NOTHING if late else native, own)
        for section, figure, raw, mine in zip(SECTIONS, figures, native, own, strict=True):
            if raw is None and (figure is None or mine is not None):
                continue
            edit = pod.resources(container).open_object(section)
            if figure is not None and mine is None:
                edit.set(name, figure, cause)
                counts[name] += raw is not None
            edit.remove(resource, cause)


class _Pair(NamedTuple):
    """A figure of ``requests`` and one of ``limits``, each None where there is none."""

    request: Any
    limit: Any


_NOTHING: Final = _Pair(None, None)


def _figures(container: Container, resource: str, native: _Pair, own: _Pair) -> _Pair:
    """Return the texts that request and limit shall be."""
    request, limit = (
        text_of(mine)
        if mine is not None
        else None
        if raw is None
        else _translated(container, section, resource, raw)
        for section, raw, mine in zip(SECTIONS, native, own, strict=True)
    )
    if request is None:
        request = limit
    elif limit is not None and limit != request and parse(limit) < parse(request):
        # The API server refuses a limit below the request. Where one of the two was
        # there as a batch or mid figure, it wins over the other, a default most likely.
        if own.limit is None and own.request is not None:
            limit = None
        elif own.request is None and own.limit is not None:
            request = limit
    return _Pair(request, limit)


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
