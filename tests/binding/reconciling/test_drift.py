"""Pods and machines change in any order: no CPU is held twice, and what is wrong is said."""

import base64
import copy
import json
import re

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.binding.builders import (
    STATUS,
    Replica,
    annotation,
    held,
    nrt,
    pod,
    ready,
    resized,
    server,
    settle,
    store,
)
from tests.binding.reconciling.test_repair import TAKEN
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.binding.reconciling.audit import not_for_pods
from webhook.cpuset.cpulist import parse_cpulist
from webhook.kube.paths import PODS

GRACE = 60.0


class _Machine(RuleBasedStateMachine):
    """Pods come, go and are resized, CPUs come and go, ledgers are deleted, patches refused.

    Binds are under way meanwhile, several for one pod.
    """

    def __init__(self):
        super().__init__()
        self.fake = server()
        self.fake.start()
        self.replica = Replica(self.fake, grace=GRACE)
        self.made = 0
        self.under_way = []

    def teardown(self):
        self.replica.endpoint.close()
        self.fake.stop()

    def _pods(self):
        return sorted(self.fake.objects[PODS])

    @rule(cpu=st.integers(1, 5), asked=st.booleans())
    def bound(self, cpu, asked):
        """Through the webhook, or while it is away."""
        made = self._make(cpu)
        if asked and not self._ask(made):
            return
        self._land(made, self.under_way.pop()[1] if asked else None)

    @rule(cpu=st.integers(1, 5))
    def waits(self, cpu):
        """A pod that is asked about and bound later, or never."""
        self._make(cpu)

    @rule(dice=st.randoms(use_true_random=False))
    def asked(self, dice):
        """Once, or again: a scheduler may come back before it is known what became of its first attempt."""
        if waiting := self._waiting():
            self._ask(self.fake.objects[PODS][dice.choice(waiting)])

    @rule(before=st.integers(1, 6), after=st.integers(1, 6))
    def resized_under_way(self, before, after):
        """A pod is resized while its bind is under way, and bound again at that moment."""
        made = self._make(before)
        if self._ask(made):
            resized(self.fake, self.replica, str(after), made["metadata"]["name"])
            self._ask(self.fake.objects[PODS]["d", made["metadata"]["name"]])

    @rule(dice=st.randoms(use_true_random=False))
    def lands(self, dice):
        """The API server finishes any of the binds that are under way, with the set that it was told."""
        self.under_way = [each for each in self.under_way if self.replica.clock() - each[2] < GRACE]
        waiting = self._waiting()
        if landing := [each for each in self.under_way if each[0] in waiting]:
            key, status, _ = dice.choice(landing)
            self._land(self.fake.objects[PODS][key], status)

    def _make(self, cpu):
        made = store(self.fake, PODS, pod(f"p{self.made}", cpu=str(cpu)))
        self.made += 1
        self.replica.hear()
        return made

    def _waiting(self):
        return [key for key in self._pods() if "nodeName" not in self.fake.objects[PODS][key]["spec"]]

    def _ask(self, made):
        """Whether the bind goes on, which is under way then."""
        _, answer = self.replica.ask(made)
        if answer["allowed"]:
            (operation,) = json.loads(base64.b64decode(answer["patch"]))
            value = operation["value"]
            status = value[STATUS] if isinstance(value, dict) else value
            self.under_way.append((("d", made["metadata"]["name"]), status, self.replica.clock()))
        return answer["allowed"]

    def _land(self, made, status):
        metadata = {**made["metadata"], "annotations": {STATUS: status} if status else {}}
        spec = {**made["spec"], "nodeName": "node-1"}
        self.fake.store(PODS, ("d", metadata["name"]), {**made, "metadata": metadata, "spec": spec})
        self.replica.hear()

    @rule(dice=st.randoms(use_true_random=False), cpu=st.integers(1, 6))
    def resize(self, dice, cpu):
        if self._pods():
            resized(self.fake, self.replica, str(cpu), dice.choice(self._pods())[1])

    @rule(dice=st.randoms(use_true_random=False))
    def delete(self, dice):
        if self._pods():
            self.fake.delete(PODS, dice.choice(self._pods())[1], "d")
            self.replica.hear()

    @rule()
    def ledger_deleted(self):
        if ("", "node-1") in self.fake.objects[LEDGERS]:
            self.fake.delete(LEDGERS, "node-1")
            self.replica.hear()

    @rule(deleted=st.booleans())
    def replica_restarts(self, deleted):
        """What it remembers is gone, and perhaps the ledger, too; no bind is under way for that long."""
        self.replica.endpoint.close()
        if deleted:
            self.fake.objects[LEDGERS].clear()
        if not self.fake.objects[LEDGERS]:
            self.under_way.clear()
        clock = self.replica.clock
        self.replica = Replica(self.fake, grace=GRACE, clock=clock)

    @rule(how=st.sampled_from(["", *TAKEN]))
    def machine_changes(self, how):
        self.fake.store(TOPOLOGIES, ("", "node-1"), copy.deepcopy(TAKEN[how]) if how else nrt())
        self.replica.hear()

    @rule(dice=st.randoms(use_true_random=False), status=st.sampled_from([403, 422, 500]))
    def refuse(self, dice, status):
        if self._pods():
            path = f"/api/v1/namespaces/d/pods/{dice.choice(self._pods())[1]}"
            self.fake.failures["PATCH", path] = [(status, {"message": "no"})] * 2

    @rule()
    def round(self):
        settle(self.replica, 1)

    @invariant()
    def never_twice(self):
        """What annotations name: at every moment, as long as nobody edits them."""
        owner = {}
        for _, name in self._pods():
            for cpu in parse_cpulist(annotation(self.fake, name) or ""):
                assert owner.setdefault(cpu, name) == name

    @invariant()
    def ledger_never_twice(self):
        """Nor does the ledger."""
        sets = [parse_cpulist(cpus) for cpus in (held(self.fake) or {}).values()]
        assert sum(map(len, sets)) == len(frozenset().union(*sets)), held(self.fake)

    @invariant()
    def nothing_unheld(self):
        """What annotations name stands in the ledger, where there is one, until they name something else."""
        ledger = held(self.fake)
        for _, name in self._pods() if ledger is not None else ():
            cpus = parse_cpulist(annotation(self.fake, name) or "")
            assert cpus <= parse_cpulist(ledger.get(name, "")), (name, cpus, ledger)

    @rule()
    def rest(self):
        """Ledger and annotations agree; a pod without what it asks for, or on taken CPUs, is named."""
        self.fake.failures.clear()
        for _ in range(3):
            self.replica.clock.seconds += 300
            settle(self.replica, 3)
        ledger = held(self.fake) or {}
        topology = self.replica.state.nodes.topology_of("node-1")
        fit = topology.cpu_topology.position.keys() - not_for_pods(topology)
        wrong = []
        for _, name in self._pods():
            made = self.fake.objects[PODS]["d", name]
            if "nodeName" not in made["spec"]:
                continue
            cpus = annotation(self.fake, name)
            assert ledger.get(name) == cpus
            asked = int(made["spec"]["containers"][0]["resources"]["requests"]["cpu"])
            if len(parse_cpulist(cpus or "")) != asked or not parse_cpulist(cpus or "") <= fit:
                wrong.append(name)
        if wrong:  # the condition names the first problems and counts the others
            told = ready(self.fake)[2]
            unnamed = [name for name in wrong if f"d/{name}: " not in told]
            more = re.search(r"and (\d+) more$", told)
            assert len(unnamed) <= (int(more[1]) if more else 0), (unnamed, told)


class _Late(_Machine):
    """The same with two replicas, one of which hears nothing until it is its turn and something happens."""

    def __init__(self):
        super().__init__()
        self.other = Replica(self.fake, grace=GRACE, clock=self.replica.clock)

    def teardown(self):
        self.other.endpoint.close()
        super().teardown()

    @rule()
    def turn(self):
        self.replica, self.other = self.other, self.replica

    @rule(cpu=st.integers(1, 5))
    def bound_by_the_late_one(self, cpu):
        self.turn()
        made = store(self.fake, PODS, pod(f"p{self.made}", cpu=str(cpu)))
        self.made += 1
        if self._ask(made):
            self._land(made, self.under_way.pop()[1])

    @rule(cpu=st.integers(1, 5), dice=st.randoms(use_true_random=False))
    def much_at_once(self, cpu, dice):
        """A ledger and pods go, and both replicas bind: the late one has heard of none of it."""
        self.ledger_deleted()
        self.delete(dice)
        self.bound(cpu, asked=True)
        self.bound_by_the_late_one(cpu)

    @rule()
    def ledger_deleted(self):
        """Of a promise that only a deleted ledger knew replicas must have heard."""
        self.replica.hear(LEDGERS)
        self.other.hear(LEDGERS)
        super().ledger_deleted()


for _each in (_Machine, _Late):
    _each.TestCase.settings = settings(
        max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
TestMachine = _Machine.TestCase
TestLate = _Late.TestCase
