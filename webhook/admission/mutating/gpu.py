"""Koordinator's GPU shorthand, written out.

``koordinator.sh/gpu: n`` (percent of one GPU) means as many percent of its cores and
of its memory, on n/100 GPUs where that is a whole number, else on one.
Source: Koordinator, device share protocol.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.pods.pod import SECTIONS, Container, containers
from webhook.pods.quantities import text_of, units
from webhook.protocol import GPU, GPU_CORE, GPU_MEMORY_RATIO, GPU_PREFIX, GPU_SHARED

CAUSE: Final = Cause("GPU shorthand", "")
_PERCENT_OF_ONE: Final = 100


def expand(pod: PodEdit) -> None:
    """Write out the GPU resources of every container that has any; init containers are left alone."""
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
            edit.remove(GPU, CAUSE)
        for name, text in wanted.items():
            edit.set(name, text, CAUSE)


def _gpus(requests: Mapping[str, Any]) -> int:
    """Return on how many GPUs the percentage lies."""
    percent = next(_percentages(requests), 0)
    whole, part = divmod(percent, _PERCENT_OF_ONE)
    return whole if whole > 1 and not part else 1


def _percentages(requests: Mapping[str, Any]) -> Iterator[int]:
    for name in (GPU_MEMORY_RATIO, GPU_CORE):
        if name in requests:
            yield units(text_of(requests[name]))
