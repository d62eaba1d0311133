"""What the files of a pod, or of a class of pods, hold, compared with the plan."""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.agent.machine.hierarchy import GONE, Hierarchy
from webhook.agent.plan.agentpod import Mode
from webhook.agent.plan.burst import QUOTA_BURST
from webhook.agent.plan.plan import ClassPlan, PodPlan, Targets
from webhook.agent.plan.settings import Weights
from webhook.agent.plan.target import Knob, Target, Why
from webhook.agent.writing.begun import as_known, begun_with, is_to_be_given_back, known, unwritten
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of, most_burst, parse, render, same, stored
from webhook.agent.writing.ledger import RESTORE, ActionLedger, Original
from webhook.agent.writing.order import Difference, left
from webhook.agent.writing.processes import Processes

_WRITTEN_TO: Final = ("cpu", "cpuset", "memory")


class Comparison:
    """Compares plans with the files of a machine; its ledger says what was written there before.

    Attributes:
        files_read: since it was made.
        problems: controllers that are not there, and of each kind of file and each reason the first one
            that could not be read or understood; by both.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        files: CgroupFiles,
        ledger: ActionLedger | None,
        processes: Processes | None = None,
    ) -> None:
        """Take where cgroups are, their files, the ledger and the host's processes where there are some."""
        self.files_read = 0
        self.problems: dict[tuple[str, str], str] = {
            (each, ""): f"there is no cgroup controller {each}: nothing of it is planned or written"
            for each in _WRITTEN_TO
            if each in hierarchy.lacking
        }
        self._processes = processes
        self._hierarchy, self._files, self._ledger = hierarchy, files, ledger
        self._places = {
            knob: (str(hierarchy.mounts[file.controller]), file.name)
            for knob in Knob
            if (file := file_of(knob, hierarchy.version)) and file.controller in hierarchy.mounts
        }

    def differences(self, plan: PodPlan, weights: Weights = Weights.LINEAR) -> Iterator[Difference]:
        """Yield the files of a pod that do not hold what they should; none for a pod without cgroups.

        Files that were written and are not planned any more are among them, also where they hold already what
        was there before: what comes to stand there afterwards is somebody else's.
        """
        pod = plan.pod
        if not pod.has_cgroup or (pod.mode is Mode.IGNORE and not self._written):
            return
        group = self._hierarchy.pod(pod.kube_qos, pod.uid)
        quota = plan.quotas.pod if plan.quotas is not None else None
        at_pod = list(self._of_group(plan, group, plan.at_pod, quota, below=False, weights=Weights.LINEAR))
        yield from at_pod
        first = any(each.knob is Knob.CPUS and each.path not in self._written for each in at_pod)
        for number, below in self._hierarchy.containers(group).items():
            yield from self._unwritten(plan, number, below, first=first)
            targets, quota = plan.of_container(number), plan.quota_of_container(number)
            yield from self._of_group(plan, below, targets, quota, below=True, weights=weights)
            if number in pod.containers and self._processes is not None:
                yield from self._of_processes(plan, number, self._processes)

    def _unwritten(self, plan: PodPlan, number: str, below: str, *, first: bool) -> Iterator[Difference]:
        """Yield what the ledger is to know of a container's CPUs that need no write, though its pod's did.

        It began with them, see ``webhook.agent.writing.begun``: where it is not to have them any more, what
        gives them back is among it; or, where its pod's are written for the first time, it had them before.
        """
        path = self._path(Knob.CPUS, below)
        if self._ledger is None or self._hierarchy.version != 1 or path is None:
            return
        if known(path, self._written, self._files):
            return
        mode = plan.pod.mode
        targets = plan.of_container(number) if mode is Mode.ENFORCE else ()
        target = next((each for each in targets if each.knob is Knob.CPUS), None)
        try:
            began = begun_with(path, self._written, self._files)
            self.files_read += began is not None or first
            if began is not None and target is not None:
                yield as_known(path, began, target.why)
            elif began is not None and is_to_be_given_back(began):
                yield as_known(path, began)
                why = Why(RESTORE, plan.pod.name, _no_more(mode))
                if given_back := self._difference(path, Knob.CPUS, began.old, why, below=True):
                    yield given_back
            elif began is None and first and target is not None:
                text = self._files.read(path)
                if parse(Knob.CPUS, text, 1) == target.value:
                    found = {**target.why.inputs, "found": "as planned"}
                    yield unwritten(path, text, text, target.why._replace(inputs=found))
        except (OSError, ValueError):
            return  # the comparison with the plan says so

    def _of_processes(self, plan: PodPlan, container: str, processes: Processes) -> Iterator[Difference]:
        version = self._hierarchy.version
        for target in plan.of_processes:
            text = render(target.knob, target.value, version)
            for path in processes.paths(container, target.knob):
                if found := self._difference(path, target.knob, text, target.why, below=True):
                    yield found
        if not self._written:
            return
        planned = _planned(plan.of_processes, plan.pod.mode)
        for knob in sorted(processes.knobs - planned):
            for path in processes.paths(container, knob):
                if found := self._given_back(path, knob, plan.pod.name, plan.pod.mode, below=True):
                    yield found

    def of_class(self, plan: ClassPlan) -> Iterator[Difference]:
        """Yield the files of a group above pods that do not hold what they should."""
        group = self._hierarchy.qos(plan.qos)
        for target in plan.targets:
            if found := self._of_target(target, group, below=False, weights=Weights.LINEAR):
                yield found
        yield from self._no_longer(plan.name, group, plan.targets, Mode.ENFORCE, below=False)

    def _of_group(
        self,
        plan: PodPlan,
        group: str,
        targets: Targets,
        quota: int | None,
        *,
        below: bool,
        weights: Weights,
    ) -> Iterator[Difference]:
        for target in targets:
            if found := self._of_target(target, group, below=below, weights=weights):
                yield found
        for each in self._no_longer(plan.pod.name, group, targets, plan.pod.mode, below=below):
            # A quota that was raised, and is just what its limit comes to by now: the limit has changed.
            is_the_kubelets = each.lent and each.current == quota
            yield left(each) if is_the_kubelets else each

    def _of_target(self, target: Target, group: str, *, below: bool, weights: Weights) -> Difference | None:
        path, version = self._path(target.knob, group), self._hierarchy.version
        if target.knob is Knob.BURST:
            most = self._most_burst(group)
            target = target._replace(value=min(target.value, most) if isinstance(target.value, int) else most)
        if path is None:
            return None
        text = render(target.knob, stored(target.knob, target.value, version, weights), version)
        return self._difference(path, target.knob, text, target.why, below=below)

    def _most_burst(self, group: str) -> int:
        """Return the greatest burst that a group may have, 0 where it has no quota, or is gone."""
        path = self._path(Knob.QUOTA, group)
        try:
            return 0 if path is None else most_burst(self._files.read(path))
        except (OSError, ValueError):
            return 0

    def _no_longer(
        self, whose: str, group: str, targets: Targets, mode: Mode, *, below: bool
    ) -> Iterator[Difference]:
        """Yield the files that were written and are not planned any more, or may not be written any more."""
        if not self._written:
            return
        planned = _planned(targets, mode)
        if Knob.IDLE in planned:
            planned.add(Knob.SHARES)  # which the kernel keeps at the least
        for knob, (top, name) in self._places.items():
            if knob in planned:
                continue
            if found := self._given_back(f"{top}/{group}/{name}", knob, whose, mode, below=below):
                yield found

    def _given_back(self, path: str, knob: Knob, whose: str, mode: Mode, *, below: bool) -> Difference | None:
        """Return what brings a file to what it was before it was written; None where it was not."""
        original = self._written.get(path)
        if original is None or not self._is(path, original):
            return None
        found = self._difference(path, knob, original.old, Why(RESTORE, whose, _no_more(mode)), below=below)
        return left(found) if found is not None and found.expected and found.lent else found

    @property
    def _written(self) -> Mapping[str, Original]:
        return self._ledger.originals if self._ledger is not None else {}

    def _path(self, knob: Knob, group: str) -> str | None:
        place = self._places.get(knob)
        return None if place is None else f"{place[0]}/{group}/{place[1]}"

    def _difference(self, path: str, knob: Knob, wanted: str, why: Why, *, below: bool) -> Difference | None:
        version = self._hierarchy.version
        self.files_read += 1
        try:
            text = self._files.read(path)
            as_it_should = text == wanted or same(knob, text, wanted, version)
            if as_it_should and why.rule != RESTORE:
                return None
            text = wanted if as_it_should else text
            value, current = parse(knob, wanted, version), parse(knob, text, version)
        except ValueError:
            self._left_alone(path, "", f"{text!r} for {wanted!r} is not understood")
            return None
        except OSError as error:
            if not self._stands(path):
                return None
            if error.errno not in GONE:
                self._left_alone(path, str(error.strerror), f"cannot be read, {error.strerror}")
                return None
            value = parse(knob, wanted, version)
            text, current = "", value  # this kernel has no such file: the writer reports it
        expected = ""
        original = self._written.get(path)
        raises, gives_back = why.rule == QUOTA_BURST, why.rule == RESTORE
        lent = raises or (gives_back and original is not None and original.is_lent)
        if original is not None and original.last != text and self._is(path, original):
            expected = original.last
            if raises:
                return None  # it is his: the next second's plan says so
        return Difference(path, knob, below, text, wanted, current, value, why, expected, lent=lent)

    def _left_alone(self, path: str, reason: str, why: str) -> None:
        self.problems.setdefault((path.rpartition("/")[2], reason), f"{path}: {why}: it is left as it is")

    def _is(self, path: str, original: Original) -> bool:
        """Whether it is still the same group or process."""
        try:
            return self._files.identity(path) == original.cgroup
        except OSError:
            return False

    def _stands(self, path: str) -> bool:
        try:
            self._files.identity(path)
        except OSError as error:
            return error.errno not in GONE
        return True


def _no_more(mode: Mode) -> dict[str, str]:
    """Return why a file is given back, as a line of the ledger names it."""
    return {"planned": "no more"} if mode is Mode.ENFORCE else {"agent": str(mode)}


def _planned(targets: Targets, mode: Mode) -> set[Knob]:
    """Return what may stand as the agent has written it."""
    return {target.knob for target in targets} if mode is Mode.ENFORCE else set()
