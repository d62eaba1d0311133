"""Quotas raised from second to second, as long as the NodeSLO switches it on.

What is raised stands in the kernel's files, and what stood there before in the ledger: from there each
second goes on, also after a restart. A quota that somebody else has changed is raised again only from what
the limit comes to. Where nothing is known of this second, quotas fall.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from webhook.agent.bursting.decision import Bucket, Raised, Raises, State, next_quota
from webhook.agent.bursting.overlay import WHOLE, base_of, of_pod, with_raised
from webhook.agent.bursting.pool import Members, Pool, members_of, pool_of
from webhook.agent.bursting.standing import Place, Standing
from webhook.agent.findings import Findings
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.sampler import Measures
from webhook.agent.measuring.throttling import Throttled
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.burst import Quotas
from webhook.agent.plan.plan import Plan, PodPlan
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import PERIOD, UNLIMITED
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.ledger import ActionLedger

UNMET_ROUNDS: Final = 10
"""After so many in a row without figures, or in which a quota could not be raised, a finding says so."""

_LOOK_ROUNDS: Final = 10
"""After so many the cgroups of a pod's containers are looked for again."""

_WHOLE: Final = 100


class Throttles(Protocol):
    """What raising quotas needs of the groups' counters."""

    def look(self, group: str, *, use: bool) -> Throttled | None:
        """Return what became of a group since the last look; None: that is not known."""

    def keep(self, groups: Iterable[str]) -> None:
        """Let go of all other groups."""


class _Pod(NamedTuple):
    """A pod whose quotas may be raised.

    Attributes:
        pod: it.
        planned: its quotas as the plan has them.
        quotas: the same, without that of the pod where none stands: kubelets differ in whether they write one
            while an init container has no limit.
        own: its own group.
        places: of its containers by their names, and of itself where it has a limit of its own.
        saves: what each of them can save, see ``Bucket``; None: it may burst without an end.
    """

    pod: AgentPod
    planned: Quotas
    quotas: Quotas
    own: Place
    places: Mapping[str, Place]
    saves: int | None


@dataclass(eq=False)
class Burster:
    """Decides once a second; not for use from several threads, but for ``state``.

    Attributes:
        throttling: the groups' counters.
        ledger: what was written, and what stood there before; while its lines wait for the disk, nothing
            rises; None: nothing was.
        clock: seconds that never go back.
        state: what the last round came to; None: no pod's quota may be raised.
    """

    _hierarchy: Hierarchy
    _files: CgroupFiles
    _sampler: Measures
    _findings: Findings
    throttling: Throttles
    ledger: ActionLedger | None = None
    clock: Callable[[], float] = time.monotonic
    state: State | None = field(default=None, init=False)
    _pods: dict[str, _Pod] = field(default_factory=dict, init=False)
    _buckets: dict[str, Bucket] = field(default_factory=dict, init=False)
    _raises: Mapping[str, Raises] = field(default_factory=dict, init=False)
    _unmet: Counter[str] = field(default_factory=Counter, init=False)
    _round: int = field(default=0, init=False)
    _members: tuple[Plan, frozenset[str], Members] | None = field(default=None, init=False)
    _made: tuple[Plan, Mapping[str, Raises], Plan] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._standing = Standing(self._hierarchy, self._files, self.ledger)

    def adjust(self, plan: Plan, settings: Settings) -> Plan:
        """Return the plan of this second.

        Args:
            plan: without raised quotas.
            settings: with the NodeSLO, and which pods the kubelet has given CPUs.
        """
        planned = [each for each in plan.pods if each.quotas is not None and each.pod.has_cgroup]
        if not planned:
            self.forget()
            return plan
        self._take(planned)
        with self._sampler.lock:
            loads = self._sampler.loads()
        threshold = settings.slo.burst.share_pool_threshold_percent
        pool = None if loads is None else pool_of(loads, self._members_of(plan, settings.pinned), threshold)
        self._say_unknown(pool)
        raises = {each.pod.uid: found for each in self._pods.values() if (found := self._of_pod(each, pool))}
        if raises != self._raises:
            self._raises = raises
        self.state = self._stated(pool)
        return self._with(plan)

    def forget(self) -> None:
        """Begin again: nothing is to be raised, or somebody else worked here meanwhile."""
        if self.state is None:
            return
        self.state = self._made = self._members = None
        self._raises = {}
        self._pods.clear()
        self._buckets.clear()
        self._unmet.clear()
        self.throttling.keep(())

    def report(self) -> Mapping[str, object]:
        """Say what /readyz shows."""
        if self.state is None:
            return {"on": False}
        return {"on": True, **self.state.report()}

    def _take(self, planned: list[PodPlan]) -> None:
        """Keep these pods with their groups, and no other."""
        look = self._round % _LOOK_ROUNDS == 0
        self._round += 1
        kept: dict[str, _Pod] = {}
        fresh = False
        for each in planned:
            old = self._pods.get(each.pod.uid)
            if each.quotas is None:
                continue
            if old is not None and old.pod is each.pod and old.planned == each.quotas and not look:
                kept[each.pod.uid] = old
                continue
            kept[each.pod.uid] = self._places(each.pod, each.quotas)
            fresh = True
        if fresh or len(kept) != len(self._pods):
            groups = {place.group for each in kept.values() for place in each.places.values()}
            self.throttling.keep(groups)
            self._buckets = {group: each for group, each in self._buckets.items() if group in groups}
            self._unmet = Counter({uid: count for uid, count in self._unmet.items() if uid in {*kept, ""}})
        self._pods = kept

    def _places(self, pod: AgentPod, planned: Quotas) -> _Pod:
        above, quotas = self._hierarchy.pod(pod.kube_qos, pod.uid), planned
        own = self._standing.place(above, planned.pod or 0, planned)
        ours = self._standing.is_ours(own)
        if planned.pod is not None and not ours and self._standing.has(above, UNLIMITED):
            quotas, own = planned._replace(pod=None), self._standing.place(above, 0, planned)
        found = {WHOLE: own} if quotas.whole and quotas.pod is not None else {}
        for number, group in self._hierarchy.containers(above).items():
            name = pod.containers.get(number, WHOLE)
            if name in quotas.containers:
                found[name] = self._standing.place(group, quotas.containers[name], quotas)
        strategy = planned.strategy
        seconds = strategy.cfs_quota_burst_period_seconds
        saves = Bucket.full(seconds, strategy.cfs_quota_burst_percent).most if seconds >= 0 else None
        return _Pod(pod, planned, quotas, own, found, saves)

    def _of_pod(self, pod: _Pod, pool: Pool | None) -> Raises:
        """Return the raised quotas of a pod."""
        looks = {name: self._look(place, pod.saves) for name, place in pod.places.items()}
        if not self._concerns(pod, looks.values()):
            return {}
        if self._standing.at(pod.own) is None or self._is_given_up(pod):
            return {}  # somebody else has written the pod's quota
        now = {
            name: stands
            for name, place in pod.places.items()
            if (stands := self._standing.at(place)) is not None
        }
        wanted = {
            name: next_quota(stands, pod.places[name].bounds, pool, *looks[name])
            for name, stands in now.items()
        }
        rising = [name for name, each in wanted.items() if each.quota > now[name]]
        wanted |= {name: Raised(now[name]) for name in self._held_back(pod, now, rising)}
        return self._lasting(
            pod, {name: each for name, each in wanted.items() if each.quota > pod.places[name].bounds.base}
        )

    def _is_given_up(self, pod: _Pod) -> bool:
        """Whether a pod's quota was left to somebody else before those of its containers could fall."""
        return (
            pod.quotas.pod is not None
            and not self._standing.is_ours(pod.own)
            and any(self._standing.is_ours(place) for place in pod.places.values())
            and not self._standing.has(pod.own.group, pod.quotas.pod)
        )

    def _lasting(self, pod: _Pod, raises: Raises) -> Raises:
        """Return raised quotas with the reasons for which they were decided at first."""
        before = self._raises.get(pod.pod.uid, {})
        return {name: before[name] if before.get(name) == each else each for name, each in raises.items()}

    def _concerns(self, pod: _Pod, looks: Iterable[tuple[Throttled | None, object]]) -> bool:
        """Whether anything of a pod is raised, or is to be, as far as it depends on the pod."""
        return any(throttled is not None and throttled.periods for throttled, _ in looks) or any(
            self._standing.is_named(place) for place in (pod.own, *pod.places.values())
        )

    def _look(self, place: Place, saves: int | None) -> tuple[Throttled | None, Bucket | None]:
        """Return what became of a group in the last second, and what it has saved."""
        if saves is None:
            return self.throttling.look(place.group, use=False), None
        throttled = self.throttling.look(place.group, use=True)
        bucket = self._buckets.get(place.group)
        if bucket is None or bucket.most != saves:
            bucket = self._buckets[place.group] = Bucket(saves, saves)
        if throttled is None or throttled.cores is None:
            return None, bucket
        bucket.take(throttled.cores * PERIOD * _WHOLE / place.bounds.base, throttled.seconds)
        return throttled, bucket

    def _held_back(self, pod: _Pod, now: Mapping[str, int], rising: Collection[str]) -> Collection[str]:
        """Return which of the quotas that are to rise may not.

        What stands does not follow from limits; or the ledger cannot be written, by which they fall again.
        """
        if not rising or self._standing.waits:
            return rising
        raised = {name: Raised(each) for name, each in now.items() if each > pod.places[name].bounds.base}
        above = of_pod(pod.quotas, raised)
        whole = above.quota if above is not None else pod.quotas.pod
        ours = self._standing.is_ours(pod.own) and (self._standing.at(pod.own) or 0) >= (whole or 0)
        wanted = {pod.own.group: UNLIMITED if whole is None else whole} if not ours else {}
        wanted |= {pod.places[name].group: now[name] for name in rising if name != WHOLE}
        unmet = {group: each for group, each in wanted.items() if not self._standing.has(group, each)}
        self._unmet[pod.pod.uid] = self._unmet[pod.pod.uid] + 1 if unmet else 0
        if self._unmet[pod.pod.uid] == UNMET_ROUNDS:
            group, quota = next(iter(unmet.items()))
            text = "none" if quota == UNLIMITED else f"{quota} of {PERIOD} microseconds"
            self._findings.say(
                f"{pod.pod.name}: is throttled, but the quota of {group} is not raised: it is not what "
                f"follows from its limit, {text}"
            )
        return rising if pod.own.group in unmet else [n for n in rising if pod.places[n].group in unmet]

    def _members_of(self, plan: Plan, pinned: frozenset[str]) -> Members:
        """Return who belongs to the share pool, as long as nothing changes that it depends on."""
        kept = self._members
        if kept is None or kept[0] is not plan or kept[1] != pinned:
            kept = self._members = plan, pinned, members_of(plan, pinned)
        return kept[2]

    def _say_unknown(self, pool: Pool | None) -> None:
        self._unmet[""] = self._unmet[""] + 1 if pool is None else 0
        if self._unmet[""] == UNMET_ROUNDS:
            self._findings.say(
                f"no figures of CPU use for {UNMET_ROUNDS} seconds: no quota is raised: see why /proc/stat "
                "or cpuacct.usage (cpu.stat) of all pods cannot be read"
            )

    def _stated(self, pool: Pool | None) -> State:
        raised: dict[str, Raises] = {}
        more = 0
        for uid, raises in self._raises.items():
            pod = self._pods[uid]
            raised[pod.pod.name] = raises
            more += sum(each.quota - base_of(pod.quotas, name) for name, each in raises.items())
        return State(pool, raised, more * 1000 // PERIOD)

    def _with(self, plan: Plan) -> Plan:
        """Return the plan with raised quotas, the same object where both are the same."""
        made = self._made
        if made is None or made[0] is not plan or made[1] is not self._raises:
            raises = {uid: (self._pods[uid].quotas, each) for uid, each in self._raises.items()}
            made = self._made = plan, self._raises, with_raised(plan, raises)
        return made[2]
