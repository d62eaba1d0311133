"""Rotation by three replicas, however their steps interleave: no pair is served that nobody trusts."""

import dataclasses
import datetime as dt

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.certificates.materials import DAY, NAME, NOW
from webhook.certificates.issuing import make_authority
from webhook.certificates.rotation import Material, Observed, Rotate, Terms, plan
from webhook.certificates.verifying import check_issued_by, read_chain


@dataclasses.dataclass
class Replica:
    """What a process remembers, and where it is in a look; a look is four steps, each can be its last."""

    memory: Material | None = None
    since: dict = dataclasses.field(default_factory=dict)
    configuration: tuple | None = None
    found: tuple | None = None
    read_at: float = 0.0
    refreshed: float = 0.0


class Rotation(RuleBasedStateMachine):
    """Three replicas, one Secret, one configuration, one API server that hears of it late.

    Each step of a look is a rule of its own, so that steps of replicas interleave and a replica may
    stop between any two. A replica that has not looked for as long as the overlap has been stopped
    or cut off: what it serves is not the others' to keep up.
    """

    terms = Terms((NAME,), settle=60, overlap=600, patience=0)
    hears_within = 50.0  # of the API server, less than ``settle``

    def __init__(self):
        """Nothing there."""
        super().__init__()
        self.now = 0.0
        self.skew = dt.timedelta()
        self.secret = None  # (version, material)
        self.version = 0
        self.configuration = (0, b"")
        self.published = [(0.0, b"")]  # every bundle published, and when
        self.replicas = [Replica() for _ in range(3)]
        self.begun = False

    @initialize()
    def install(self):
        """The first look of one replica, whole, until its bundle has been heard of."""
        for _ in range(2):
            for step in (self.read_configuration, self.read_secret, self.decide, self.publish):
                step(0)
        self.now += 100.0
        self.begun = True

    @rule(seconds=st.sampled_from([1.0, 20.0, 60.0, 200.0]))
    def time_passes(self, seconds):
        """For all, on a clock that nobody sets."""
        self.now += seconds

    @rule(days=st.sampled_from([-1, 1, 300, 3400]))
    def somebody_sets_the_clock(self, days):
        """Back by a day, or on to where a leaf or a CA is near its end; not beyond the end of all."""
        limit = read_chain(self.secret[1].authority.certificate).expires_at - 2 * DAY
        self.skew = min(self.skew + days * DAY, max(limit - NOW, self.skew))

    @rule(requested=st.sampled_from(Rotate))
    def somebody_asks(self, requested):
        """An annotation, which changes the version."""
        self.write_secret(self.secret[0], dataclasses.replace(self.secret[1], requested=requested))

    @rule()
    def somebody_changes_something_else(self):
        """In the configuration: its version changes, the bundle stays."""
        self.configuration = (self.configuration[0] + 1, self.configuration[1])

    @rule(who=st.integers(0, 2))
    def dies(self, who):
        """And another one begins with nothing, in its place."""
        self.replicas[who] = Replica()

    @rule(who=st.integers(0, 2))
    def read_configuration(self, who):
        """A look begins."""
        self.replicas[who].configuration = self.configuration
        self.replicas[who].found = None

    @rule(who=st.integers(0, 2))
    def read_secret(self, who):
        """The second step."""
        replica = self.replicas[who]
        if replica.configuration is not None:
            replica.found, replica.read_at = (self.secret,), self.now

    @rule(who=st.integers(0, 2))
    def decide(self, who):
        """The third: a write of the Secret, or what it holds is served."""
        replica = self.replicas[who]
        if replica.found is None:
            return
        (secret,) = replica.found
        version, found = secret or (None, None)
        step = plan(
            found,
            replica.memory,
            observed=self.observed(replica, found),
            terms=self.terms,
            now=NOW + self.skew,
        )
        if step.material is not found:
            self.write_secret(version, step.material)
            replica.configuration = replica.found = None
            return
        replica.memory = found
        replica.refreshed = replica.read_at

    @rule(who=st.integers(0, 2))
    def publish(self, who):
        """The fourth: for the version that was read first, and no other."""
        replica = self.replicas[who]
        if replica.found is None or replica.found[0] is None or replica.memory != replica.found[0][1]:
            return
        version, bundle = replica.configuration
        if version == self.configuration[0] and bundle != replica.memory.bundle:
            self.configuration = (version + 1, replica.memory.bundle)
            self.published.append((self.now, replica.memory.bundle))
        replica.configuration = replica.found = None

    @rule(who=st.integers(0, 2))
    def whole_look(self, who):
        """Nobody comes between."""
        for step in (self.read_configuration, self.read_secret, self.decide, self.publish):
            step(who)

    @rule(who=st.integers(0, 2), looks=st.integers(2, 12))
    def goes_on_alone(self, who, looks):
        """One replica looks every 40 seconds while the others do nothing."""
        for _ in range(looks):
            self.whole_look(who)
            self.every_pair_in_service_is_trusted()
            self.now += 40.0

    def observed(self, replica, found):
        """As the rotator measures it."""
        if found is None:
            return Observed()
        version, bundle = replica.configuration
        published = (found.revision, version) if bundle == found.bundle else None
        return Observed(
            held=self.lasting(replica, "held", found.revision),
            published=self.lasting(replica, "p", published),
        )

    def lasting(self, replica, what, state):
        """For how long."""
        if state is None:
            replica.since.pop(what, None)
            return None
        if what not in replica.since or replica.since[what][0] != state:
            replica.since[what] = (state, self.now)
        return self.now - replica.since[what][1]

    def write_secret(self, version, material):
        """Compare and swap."""
        if version == (self.secret[0] if self.secret else None):
            self.version += 1
            self.secret = (self.version, material)

    @invariant()
    def every_pair_in_service_is_trusted(self):
        """By the newest bundle, and by each older one that an API server may still go by."""
        if not self.begun:
            return
        heard = sum(at <= self.now - self.hears_within for at, _ in self.published)
        bundles = [bundle for _, bundle in self.published[heard - 1 :]]
        for replica in self.replicas:
            if replica.memory is not None and self.now - replica.refreshed < self.terms.overlap:
                for bundle in bundles:
                    check_issued_by(replica.memory.chain, bundle)


Rotation.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestRotation = Rotation.TestCase


def test_a_machine_of_many_steps_gets_through_a_rotation():
    """The model above is no standstill: a request for a CA is met in it, by whoever looks."""
    model = Rotation()
    model.install()
    first = model.secret[1]
    model.somebody_asks(Rotate.CA)
    for _ in range(40):
        for who in range(3):
            model.whole_look(who)
            model.every_pair_in_service_is_trusted()
        model.time_passes(60.0)
    assert model.secret[1].trusted != first.trusted
    assert len(model.secret[1].trusted) == 1
    assert model.replicas[0].memory == model.replicas[2].memory
    assert make_authority(NOW).certificate not in model.secret[1].trusted
