"""What the verbs do with what is found of each node: reasons counted, points weighted, evictions judged."""

from fractions import Fraction
from math import floor

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.scheduling.builders import waiting
from tests.scheduling.test_ranking import NAMES, SETTINGS, World
from webhook.protocol import LEDGER_KIND, NODEMETRIC_KIND
from webhook.scheduling.setfit import Fit
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.verbs import OTHERS, Asked, filter_nodes, preempt

TWELVE = [f"node-{i}" for i in range(12)]
WITHOUT_LOAD = SchedulingSettings(load=None)


class Reasons:
    """A place with these reasons by node; where pods are ending the set is free once they are gone."""

    def __init__(self, reasons, ending=()):
        self.reasons, self.ending = reasons, ending

    def loads(self):
        """No node is judged."""
        return {}

    def fit(self, node, *, without=frozenset()):
        """What stands there, unless it ends."""
        return Fit("" if without else self.reasons.get(node, ""), "")

    def leaving(self, node):
        """A pod, where one is ending."""
        return frozenset({"old"} if node in self.ending else ())


@given(
    st.dictionaries(
        st.sampled_from([f"node-{i}" for i in range(12)]), st.sampled_from("abcdefgh"), max_size=12
    ),
    st.sampled_from(["", "node-0", "node-1"]),
    st.booleans(),
)
def test_reasons_are_of_five_kinds_at_most(reasons, nominated, ending):
    """A scheduler counts those of both maps together, and each kind makes the message longer."""
    asked = Asked(None, wants_set=True, nominated=nominated)
    place = Reasons(reasons, {nominated} if ending else ())
    found = filter_nodes(asked, TWELVE, place, WITHOUT_LOAD, 0.0)
    both = {**found.unresolvable, **found.failed}
    assert both.keys() == reasons.keys()
    assert set(found.failed) == ({nominated} & reasons.keys() if ending else set())
    kinds = sorted(set(reasons.values()))
    event(f"{min(len(kinds), 6)} kinds")
    if len(kinds) <= 5:
        assert both == reasons
    else:
        assert len(set(both.values())) == 5
        named = {name: reason for name, reason in reasons.items() if reason in kinds[:4]}
        assert both == {**dict.fromkeys(reasons, OTHERS), **named}


SETS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 2), max_size=3)


@given(
    here=st.fixed_dictionaries({name: st.tuples(SETS, st.integers(0, 16_000)) for name in NAMES}),
    victims=st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(["a", "b", "z"]), max_size=2)),
    cpu=st.sampled_from([2, 8, 12, 14]),
    qos=st.sampled_from(["LSR", "LS"]),
)
@settings(max_examples=40)
def test_evictions_that_help_are_kept(here, victims, cpu, qos):
    """A candidate stays that has victims, that is cool as it is, and where their CPUs are enough.

    One core at least is left to pods without sets.
    """
    world = World()
    kept = set()
    for name, (sets, milli) in here.items():
        world.change(LEDGER_KIND, name, sets)
        world.change(NODEMETRIC_KIND, name, (milli, 0))
        evicted = victims.get(name, [])
        percent = floor(100 * (milli + floor(Fraction(cpu * 850))) / Fraction(16_000) + Fraction(1, 2))
        left = 16 - 2 * sum(cores for uid, cores in sets.items() if uid not in evicted)
        if evicted and percent <= 65 and (qos == "LS" or left > cpu):
            kept.add(name)
    visit = world.cluster.visit(waiting("new", str(cpu), qos))
    found = preempt(visit.asked, victims, visit, SETTINGS, world.now.timestamp())
    event(f"{len(found)} of {len(victims)} stay")
    assert set(found) == kept
