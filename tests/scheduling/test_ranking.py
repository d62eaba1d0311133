"""What is remembered of nodes is what a cluster would say that has just been read."""

import datetime as dt
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import node, nrt, pod
from tests.scheduling.builders import waiting
from tests.scheduling.test_nodeload import metric
from webhook.binding.ledger import Entry, Ledger, write_ledger
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.protocol import CPUSET_ENABLED, LABEL_CPUSET, LEDGER_KIND, NODEMETRIC_KIND, TOPOLOGY_KIND
from webhook.scheduling.cluster.snapshot import KINDS, cluster_of
from webhook.scheduling.settings import read_settings
from webhook.scheduling.verbs import filter_nodes, prioritize

NAMES = ("node-1", "node-2", "node-3")
SETTINGS = read_settings({"loadAware": {"usageThresholds": {"cpu": 65}}})
START = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
SHAPES = ("1x2x4x2", "1x1x4x2")


def machine(name):
    """A Node of 16 CPUs."""
    return {**node(name, uid=f"uid-{name}"), "status": {"allocatable": {"cpu": "16", "memory": "64Gi"}}}


def ledger(name, sets, version):
    """A node's ledger, in which pods of these uids hold the CPUs of so many cores."""
    entries, first = {}, 0
    for uid, cores in sets.items():
        cpus = frozenset(range(first, first + 2 * cores))
        first += 2 * cores
        entries[uid] = Entry(
            uid, "d", uid, "LSR", cpus, BindPolicy.FULL_PCPUS, False, Exclusive.NONE, START
        )  # fmt: skip
    made = write_ledger(Ledger(name, f"uid-{name}", entries), None)
    made["metadata"]["resourceVersion"] = str(version)
    return made


def running(name, on, qos="LS", **status):
    """A pod that is bound, or nominated."""
    made = pod(name, "2", qos, placement={"nodeName": on, "priority": 9500} if on else {"priority": 9500})
    made["status"] = {"phase": "Running" if on else "Pending", **status}
    return made


ON = st.sampled_from(NAMES)
SETS = st.dictionaries(st.sampled_from(["a", "b", "x"]), st.integers(1, 3), max_size=3)
CHANGES = st.one_of(
    st.builds(lambda n, *of: (NODEMETRIC_KIND, n, of), ON, st.integers(0, 16_000), st.integers(0, 200)),
    st.builds(lambda n, shape: (TOPOLOGY_KIND, n, shape), ON, st.sampled_from((*SHAPES, ""))),
    st.builds(lambda n, sets: (LEDGER_KIND, n, sets), ON, SETS),
    st.builds(lambda n, there: ("Node", n, there), ON, st.booleans()),
    st.builds(lambda n, p, qos: ("Pod", p, (n, qos)), st.sampled_from(("", *NAMES)),
              st.sampled_from(["p", "q"]), st.sampled_from(["LS", "LSR"])),
    st.builds(lambda seconds: ("time", "", seconds), st.integers(1, 200)),
)  # fmt: skip
QUESTIONS = st.builds(
    lambda uid, cpu, qos, priority: waiting(uid, cpu, qos, placement={"priority": priority}),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["2", "6", "12"]),
    st.sampled_from(["LS", "LSR", "BE"]),
    st.sampled_from([9000, 9900]),
)


class World:
    """Objects by kind and name, and a cluster that hears of each change of them."""

    def __init__(self):
        self.now, self.version = START, 0
        self.objects = {kind: {} for kind in KINDS}
        self.objects["Namespace"]["d"] = {"metadata": {"name": "d", "labels": {LABEL_CPUSET: CPUSET_ENABLED}}}
        for name in NAMES:
            self.objects["Node"][name] = machine(name)
            self.objects[TOPOLOGY_KIND][name] = nrt(SHAPES[0], name)
        self.cluster = self.read()

    def read(self):
        """A cluster that knows what there is, and has been asked nothing."""
        listed = {kind: deepcopy(list(by_name.values())) for kind, by_name in self.objects.items()}
        return cluster_of(listed, SETTINGS, lambda: self.now)

    def change(self, kind, name, value):
        """Change an object, and have the cluster hear of it."""
        loads, sets = self.cluster.loads, self.cluster.sets
        self.version += 1
        if kind == "time":
            self.now += dt.timedelta(seconds=value)
        elif kind == NODEMETRIC_KIND:
            made = {"metadata": {"name": name}, **metric(value[0], 0)}
            moment = self.now - dt.timedelta(seconds=value[1])
            made["status"]["updateTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            self._put(kind, name, made, loads.metrics)
        elif kind == TOPOLOGY_KIND:
            self._put(kind, name, nrt(value, name) if value else None, sets.nodes.topologies)
        elif kind == LEDGER_KIND:
            self._put(kind, name, ledger(name, value, self.version), sets.store)
        elif kind == "Node":
            self._put(kind, name, machine(name) if value else None, loads.nodes, sets.nodes.nodes)
        else:
            self._put_pod(name, *value)

    def _put(self, kind, name, made, *stores):
        before = self.objects[kind].pop(name, None)
        if made is not None:
            self.objects[kind][name] = made
        for store in stores:
            if made is not None:
                store.changed(deepcopy(made))
            elif before is not None:
                store.deleted(before)

    def _put_pod(self, name, on, qos):
        """A pod on a node, or one that is nominated to the first."""
        made = running(name, on, qos, **({} if on else {"nominatedNodeName": NAMES[0]}))
        self.objects["Pod"][name] = made
        # Both watches have a selector: what does not match it is deleted there.
        for store, matches in ((self.cluster.loads.pods, on), (self.cluster.sets.pods, qos == "LSR")):
            if matches:
                store.changed(deepcopy(made))
            elif ("d", name) in store.values:
                store.deleted(made)


@given(st.lists(st.tuples(st.lists(CHANGES, max_size=3), QUESTIONS, st.integers(0, 3)), max_size=8))
def test_remembered_is_what_a_new_cluster_finds(steps):
    """Whatever changes, of whatever pod is asked, and however much of it was looked at between two calls."""
    world = World()
    names = [*NAMES, "node-9"]
    for changes, asked, looks in steps:
        for change in changes:
            world.change(*change)
        for _ in range(looks):
            world.cluster.look_again()
        visit, fresh = world.cluster.visit(asked), world.read().visit(asked)
        now = world.now.timestamp()
        found = world.cluster.rankings.filter(visit, names, now)
        assert found == filter_nodes(fresh.asked, names, fresh, SETTINGS, now)
        passed = found.passed
        assert world.cluster.rankings.prioritize(visit, passed, now) == prioritize(
            fresh.asked, passed, fresh, SETTINGS, now
        )


def test_nodes_are_looked_at_in_slices():
    """However much has changed, what is done between two calls has an end, and at last nothing is left."""
    world = World()
    for number in range(100):
        name = f"more-{number}"
        world.change("Node", name, value=True)
        world.change(TOPOLOGY_KIND, name, SHAPES[0])
    looks = 1
    while world.cluster.look_again():
        looks += 1
    assert looks > 100 // 20
    assert not world.cluster.look_again()


def test_of_a_deleted_node_nothing_is_kept():
    """What a pod held there makes no node special any more, until another one has its name."""
    world = World()
    world.change(LEDGER_KIND, "node-1", {"x": 1})
    visit = world.cluster.visit(waiting("x", placement={"priority": 9500}))
    for exists, special in ((True, {"node-1"}), (False, set()), (True, {"node-1"})):
        world.change("Node", "node-1", exists)
        while world.cluster.look_again():
            pass
        assert visit.special() == special
