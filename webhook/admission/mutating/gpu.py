"""Expansion of Koordinator's GPU shorthand.

``koordinator.sh/gpu: n`` (percent of one GPU) means n percent of its cores and n percent
of its memory, on n/100 GPUs if that is a whole number, else on one.
Source: Koordinator, device share protocol.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.pods.pod import SECTIONS, Container, containers
from webhook.pods.quantities import text_of, units
from webhook.protocol import GPU, GPU_CORE, GPU_MEMORY_RATIO, GPU_PREFIX, GPU_SHARED

_CAUSE: Final = Cause("GPU shorthand", "")
_PERCENT_OF_ONE: Final = 100


def expand(pod: PodEdit) -> None:
    """Expand the GPU resources of every container that has any; init containers stay unchanged."""
    for container in list(containers(pod.value)):
        if container.kind == "containers" and _has_gpu(container):
            _expand_container(pod, container)


def _has_gpu(container: Container) -> bool:
    for section in SECTIONS:
        for name in container.quantities(section):
            if name.startswith(GPU_PREFIX):
                return True
    return False


def _expand_container(pod: PodEdit, container: Container) -> None:
    requests = dict(container.quantities("requests"))
    wanted: dict[str, str] = {}
    shorthand = GPU in requests
    if shorthand:
        text = text_of(requests.pop(GPU))
        wanted = {GPU_CORE: text, GPU_MEMORY_RATIO: text}
    if GPU_SHARED not in requests:
        wanted[GPU_SHARED] = str(_gpus(requests | wanted))
    for section in SECTIONS:
        edit = pod.resources(container).open_object(section)
        if shorthand:
            edit.remove(GPU, _CAUSE)
        for name, text in wanted.items():
            edit.set(name, text, _CAUSE)


def _gpus(requests: Mapping[str, Any]) -> int:
    """Return the number of GPUs that the percentage spans."""
    percent = next(_percentages(requests), 0)
    whole, part = divmod(percent, _PERCENT_OF_ONE)
    return whole if whole > 1 and not part else 1


def _percentages(requests: Mapping[str, Any]) -> Iterator[int]:
    for name in (GPU_MEMORY_RATIO, GPU_CORE):
        if name in requests:
            yield units(text_of(requests[name]))
