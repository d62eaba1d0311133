"""What a node asks for: ``asks_of``, from what was measured and what its strategy says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.eviction.release import Figures, by_requests, of_cpu, release_of
from webhook.eviction.thresholds import Form, Limits, Thresholds
from webhook.protocol import BATCH, CPU, MEMORY, MID, NATIVE_RESOURCES, TRANSLATION

STALE_SECONDS: Final = 10.0
"""What was measured longer ago is no reason."""

_PARTS: Final = 3
"""A mean counts when at least this part of its window was seen."""


class Ask(NamedTuple):
    """One thing that a node asks for.

    Attributes:
        form: why.
        resource: of which; of the allocatable forms as pods request it.
        release: milli-cores or bytes.
        figures: by which it was found; see ``release_of``.
        priority: of pods up to which it is to be released; None: of BE pods.
    """

    form: Form
    resource: str
    release: int
    figures: Figures
    priority: int | None = None

    def __str__(self) -> str:
        """Say it with the figures that justify it, in one sentence."""
        show = _cores if of_cpu(self.form) else bytes_text
        given = self.figures
        if self.form is Form.BE_CPU:
            words = (
                f"BE pods request {show(given['requested'])} of CPU, can get {show(given['limit'])} and use "
                f"{show(given['used'])}: at most {given['lower']} % of it is too little, {given['upper']} % "
                "is the aim"
            )
        elif by_requests(self.form):
            words = (
                f"pods request {show(given['requested'])} of {self.resource}, the node offers "
                f"{show(given['allocatable'])}: more than {given['threshold']} %, {given['lower']} % is the "
                "aim"
            )
        else:
            words = (
                f"{show(given['used'])} of {show(given['capacity'])} {self.resource} are used: at least "
                f"{given['threshold']} %, {given['lower']} % is the aim"
            )
        return f"{self.form}: {words}: {show(self.release)} to release"


class BECpu(NamedTuple):
    """What BE pods can get of the CPU, request and use, in milli-cores."""

    limit: int
    requested: int
    used: int


class PodRequest(NamedTuple):
    """What a pod that may be evicted requests, by resource, and its priority."""

    priority: int
    requests: Mapping[str, int]


class Measured(NamedTuple):
    """A node as it is now.

    Attributes:
        age: seconds since it was measured.
        cpus: milli-cores.
        memory: bytes.
        cpu_used: mean over the window; None: not known.
        memory_used: None: not known.
        be: now; None: not known.
        be_mean: over the window; None: not known.
        be_seconds: how much of the window was seen.
        pods: of BE, and mid ones: what runs or waits and is not online work.
        offered: what the node offers, by resource; what was withdrawn or is held is left out.
    """

    age: float
    cpus: int
    memory: int
    cpu_used: int | None = None
    memory_used: int | None = None
    be: BECpu | None = None
    be_mean: BECpu | None = None
    be_seconds: float = 0.0
    pods: Sequence[PodRequest] = ()
    offered: Mapping[str, int] = {}


def requests_by(priority_class: str) -> tuple[str, str]:
    """Return the names by which pods of a class request CPU and memory."""
    names = TRANSLATION.get(priority_class)
    return (CPU, MEMORY) if names is None else (names[CPU], names[MEMORY])


def resources_of(form: Form) -> tuple[str, ...]:
    """Return the resources of which a form may ask."""
    place = 0 if of_cpu(form) else 1
    if form is Form.BE_CPU:
        return (requests_by(BATCH)[place],)
    if by_requests(form):
        return requests_by(BATCH)[place], requests_by(MID)[place], NATIVE_RESOURCES[place]
    return (NATIVE_RESOURCES[place],)


def seen_enough(seconds: float, window: float) -> bool:
    """Whether so much of a window was seen that its mean counts."""
    return seconds * _PARTS >= window


def bytes_text(number: int) -> str:
    """Return bytes as messages say them: ``6.4Gi``."""
    gibi, mebi = number / 2**30, number / 2**20
    return f"{gibi:.1f}Gi" if gibi >= 1 else f"{mebi:.0f}Mi"


def asks_of(measured: Measured, thresholds: Thresholds) -> tuple[Ask, ...]:
    """Return what a node asks for, in the order in which it is served; nothing where data is old."""
    if measured.age > STALE_SECONDS or measured.age < 0:
        return ()
    return tuple(each for each in _asks(measured, thresholds) if each.release > 0)


def _asks(measured: Measured, thresholds: Thresholds) -> Iterator[Ask]:
    satisfaction, now, mean = thresholds.satisfaction, measured.be, measured.be_mean
    if satisfaction and now and mean and seen_enough(measured.be_seconds, thresholds.window):
        figures = {
            **now._asdict(),
            **{f"mean{name.capitalize()}": value for name, value in mean._asdict().items()},
            "lower": satisfaction.lower,
            "upper": satisfaction.upper,
            "usage": satisfaction.usage,
        }
        (resource,) = resources_of(Form.BE_CPU)
        yield _ask(Form.BE_CPU, resource, figures)
    for form in Form:
        limits = thresholds.limits.get(form)
        if limits is None:
            continue
        if by_requests(form):
            yield from _requested(form, limits, measured)
            continue
        cpu = of_cpu(form)
        used = measured.cpu_used if cpu else measured.memory_used
        if used is not None:
            (resource,) = resources_of(form)
            figures = {"used": used, "capacity": measured.cpus if cpu else measured.memory}
            yield _ask(form, resource, figures, limits)


def _requested(form: Form, limits: Limits, measured: Measured) -> Iterator[Ask]:
    for name in resources_of(form):
        if name not in measured.offered:
            continue
        requested = sum(
            pod.requests.get(name, 0)
            for pod in measured.pods
            if limits.priority is not None and pod.priority <= limits.priority
        )
        yield _ask(form, name, {"requested": requested, "allocatable": measured.offered[name]}, limits)


def _ask(form: Form, resource: str, figures: Figures, limits: Limits | None = None) -> Ask:
    if limits is not None:
        figures = {**figures, "threshold": limits.threshold, "lower": limits.lower}
    return Ask(form, resource, release_of(form, figures), figures, limits.priority if limits else None)


def _cores(milli: int) -> str:
    return f"{milli / 1000:g} cores"
