"""Seconds that pass in a world, for machines of random changes."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule


class Seconds(RuleBasedStateMachine):
    """Of a machine with a ``world`` and a method ``second``: one round of it, and every promise."""

    @rule(seconds=st.sampled_from([0.5, 1.0, 30.0, 900.0]))
    def late(self, seconds):
        """The next second comes late."""
        self.world.time += seconds

    @rule(seconds=st.integers(1, 12))
    def seconds(self, seconds):
        """Some seconds pass, each of which is judged."""
        for _ in range(seconds):
            self.second()
