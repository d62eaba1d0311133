"""What the Secret should hold next: one step at a time, and never a pair that nobody trusts."""

import base64
import dataclasses
import datetime as dt

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from webhook.certificates.issuing import Authority, issue, make_authority
from webhook.certificates.rotation import CA_RENEW_BEFORE, Material, Observed, Rotate, Terms, plan
from webhook.certificates.secret import read_secret, write_secret
from webhook.certificates.verifying import CertificateError, check_issued_by, check_pair, read_chain

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAME = "webhook.somewhere.svc"
TERMS = Terms((NAME,), settle=60, overlap=600, patience=10)
LONG = Observed(held=10_000, published=10_000)


def made(now=NOW):
    """A first material."""
    return plan(None, None, observed=Observed(), terms=TERMS, now=now).material


def after(material, *, observed=LONG, terms=TERMS, now=NOW, memory=None):
    """The next one."""
    return plan(material, memory, observed=observed, terms=terms, now=now).material


def test_the_first_material_is_good_and_stays():
    """A CA, a leaf for the names from an hour back on, a key to sign with; nothing is due after it."""
    material = made()
    assert material.check().names == (NAME,)
    check_pair(material.chain, material.key, NOW - dt.timedelta(minutes=59))
    assert len(material.signing_key) >= 16
    assert after(material) is material
    assert plan(material, material, observed=LONG, terms=TERMS, now=NOW).wait is None


@pytest.mark.parametrize("later", [336 * DAY, 364 * DAY, 400 * DAY])
def test_a_leaf_near_or_past_its_end_is_renewed_by_the_same_ca(later):
    """The bundle stays byte for byte, and so does the signing key; nothing has to be waited for."""
    before = made()
    assert after(before, now=NOW + 334 * DAY) is before
    renewed = after(before, observed=Observed(), now=NOW + later)
    assert renewed.bundle == before.bundle
    assert renewed.signing_key == before.signing_key
    assert renewed.check().expires_at > NOW + later + 300 * DAY


def test_a_ca_is_replaced_with_overlap():
    """Both are trusted before the leaf changes, and the old one for a while after it."""
    first = made()
    near = NOW + dt.timedelta(days=3650) - CA_RENEW_BEFORE
    assert first.successor is None
    start = dataclasses.replace(first, **_leaf_of(first, near - DAY))
    introduced = after(start, now=near + dt.timedelta(minutes=1))
    assert introduced.chain == start.chain
    assert set(introduced.trusted) > set(start.trusted)
    assert len(introduced.trusted) == 2
    for observed in (Observed(published=None), Observed(published=59.0)):
        assert after(introduced, observed=observed, now=near + DAY) is introduced
    switched = after(introduced, observed=Observed(published=60.0), now=near + DAY)
    assert switched.bundle == introduced.bundle
    check_issued_by(switched.chain, introduced.successor.certificate)
    assert after(switched, observed=Observed(held=599.0, published=599.0), now=near + DAY) is switched
    dropped = after(switched, observed=Observed(held=600.0), now=near + DAY)
    assert dropped.trusted == (introduced.successor.certificate,)
    assert dropped.signing_key == first.signing_key
    assert after(dropped, now=near + DAY) is dropped
    assert [m.revision for m in (introduced, switched, dropped)] == [2, 3, 4]


def test_a_ca_that_waited_for_years_is_not_used():
    """All replicas were away since it was introduced: another one takes its place before it signs."""
    introduced = after(dataclasses.replace(made(), requested=Rotate.CA), now=NOW - 2 * DAY)
    late = NOW + dt.timedelta(days=3649)
    renewed = after(dataclasses.replace(introduced, **_leaf_of(introduced, late)), now=late)
    assert renewed.authority == introduced.authority
    assert renewed.successor != introduced.successor
    assert read_chain(after(renewed, now=late).chain).expires_at > late + 300 * DAY


def _leaf_of(material, now):
    chain, key = issue(material.authority, [NAME], now)
    return {"chain": chain, "key": key}


def test_requests_are_met_once():
    """A new leaf at once; a new CA when the one before is dropped, and not a second one in between."""
    first = made()
    renewed = after(dataclasses.replace(first, requested=Rotate.LEAF))
    assert (renewed.requested, renewed.bundle) == (None, first.bundle)
    assert renewed.chain != first.chain
    introduced = after(dataclasses.replace(renewed, requested=Rotate.CA))
    assert (introduced.requested, len(introduced.trusted)) == (None, 2)
    again = after(dataclasses.replace(introduced, requested=Rotate.CA), observed=Observed())
    assert (again.requested, again.trusted, again.revision) == (
        None,
        introduced.trusted,
        introduced.revision + 1,
    )
    switched = dataclasses.replace(after(introduced), requested=Rotate.CA)
    assert after(switched, observed=Observed()) is switched
    dropped = after(switched)
    assert (dropped.requested, len(dropped.trusted)) == (Rotate.CA, 1)
    assert len(after(dropped).trusted) == 2


def test_an_expired_ca_is_replaced_at_once():
    """There is nothing to keep up; what replicas sign with stays."""
    before = made()
    late = NOW + 4000 * DAY
    again = after(before, observed=Observed(), now=late)
    assert (again.revision, again.signing_key) == (2, before.signing_key)
    assert read_chain(again.authority.certificate).expires_at > late
    assert len(again.trusted) == 1


def test_a_leaf_that_cannot_last_longer_is_left_alone():
    """Near the end of its CA a new leaf would end with it: no replica issues one after another."""
    first = made()
    near = NOW + dt.timedelta(days=3640)
    introduced = after(dataclasses.replace(first, **_leaf_of(first, near)), now=near)
    assert introduced.successor is not None
    assert after(introduced, observed=Observed(), now=near) is introduced


def test_a_name_that_is_lacking_is_added():
    """The old names stay, so that two versions of a release agree on one leaf."""
    old, new = TERMS, Terms(("other.somewhere.svc",), 60, 600)
    both = after(made(), terms=new)
    assert set(both.check().names) == {NAME, "other.somewhere.svc"}
    assert after(both, terms=old) is both
    assert after(both, terms=new) is both


def test_what_was_lost_is_restored_from_memory():
    """The very same; an older content that comes back is overruled by a higher revision, for good."""
    first = made()
    second = after(dataclasses.replace(first, requested=Rotate.LEAF))
    assert after(None, observed=Observed(), memory=second) is second
    restored = after(first, memory=second)
    assert restored == dataclasses.replace(second, revision=3)
    assert after(restored, memory=first) is restored
    another = made()
    settled = after(another, memory=first)
    assert (settled.chain, settled.revision) == (first.chain, 2)
    assert after(settled, memory=another) is settled


def test_a_ca_of_somebody_else_is_gone_on_with():
    """One of another kind of key, put into the Secret by a person, renews leaves and is replaced in time."""
    ca = trustme.CA(key_type=trustme.KeyType.RSA)
    issued = ca.issue_cert(NAME)
    theirs = dataclasses.replace(
        made(),
        authority=Authority(ca.cert_pem.bytes(), ca.private_key_pem.bytes()),
        chain=issued.cert_chain_pems[0].bytes(),
        key=issued.private_key_pem.bytes(),
        requested=Rotate.LEAF,
    )
    renewed = after(theirs)
    check_issued_by(renewed.check().chain, ca.cert_pem.bytes())
    assert renewed.chain != theirs.chain


def test_a_revision_that_is_no_number_counts_as_none():
    """Whatever a person writes there."""
    for revision in ("", "-1", "many", "9" * 5000):
        secret = write_secret(made(), "ns", "name", {})
        secret["metadata"]["annotations"]["colocation-webhook.io/revision"] = revision
        assert read_secret(secret).revision == 0


def test_whoever_may_know_better_is_waited_for():
    """A configuration trusts a CA that is not known here: others have some seconds to restore it."""
    for memory in (None, made()):
        step = plan(None, memory, observed=Observed(unknown_ca=4.0), terms=TERMS, now=NOW)
        assert (step.material, step.wait) == (None, 6.0)
        assert (
            plan(None, memory, observed=Observed(unknown_ca=10.0), terms=TERMS, now=NOW).material is not None
        )


def test_a_wrong_time_of_day_makes_no_material_bad():
    """A replica whose clock is behind does not make again what it finds to begin in the future."""
    material = made()
    assert after(material, now=NOW - 30 * DAY) is material
    secret = write_secret(material, "ns", "name", {})
    assert read_secret(secret) == material


@pytest.mark.parametrize("key", ["ca.crt", "ca.key", "tls.crt", "tls.key", "signing.key", "next-ca.key"])
@pytest.mark.parametrize("damage", ["", "!", "aGFsZg=="])
def test_a_damaged_secret_is_never_used(key, damage):
    """Whichever part is empty, not base64 or half: the reason is said, and a whole one is read as written."""
    material = after(dataclasses.replace(made(), requested=Rotate.CA))
    secret = write_secret(material, "ns", "name", {})
    assert read_secret(secret) == material
    if (key, damage) == ("signing.key", "aGFsZg=="):
        damage = ""
    secret["data"][key] = damage
    with pytest.raises(CertificateError):
        read_secret(secret)


@pytest.mark.parametrize("key", ["ca.crt", "tls.crt"])
@pytest.mark.parametrize("place", ["key", "algorithm", "version"])
def test_a_certificate_with_one_wrong_byte_is_never_used(key, place):
    """Even where it can be read as a whole, and fails when a part of it is asked for."""
    secret = write_secret(made(), "ns", "name", {})
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"][key]))
    form = serialization.PublicFormat
    point = certificate.public_key().public_bytes(serialization.Encoding.X962, form.UncompressedPoint)
    whole = certificate.public_bytes(serialization.Encoding.DER)
    at = {"key": whole.index(point) + 10, "algorithm": whole.index(point) - 4, "version": whole.index(2) + 2}
    wrong = bytearray(whole)
    wrong[at[place]] ^= 5
    pem = b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % base64.encodebytes(wrong)
    secret["data"][key] = base64.b64encode(pem).decode()
    with pytest.raises(CertificateError):
        read_secret(secret)


def test_a_part_of_another_pair_is_never_used():
    """Certificate, key and CA have to belong together."""
    one, other = (write_secret(made(), "ns", "name", {}) for _ in range(2))
    for key in ("ca.crt", "ca.key", "tls.crt", "tls.key"):
        mixed = {**one, "data": {**one["data"], key: other["data"][key]}}
        with pytest.raises(CertificateError):
            read_secret(mixed)


def test_the_secret_keeps_what_is_not_ours():
    """Labels, annotations and keys of others stay; a met request goes, an open one stays."""
    found = {
        "metadata": {"resourceVersion": "7", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "type": "Opaque",
        "data": {"theirs": "eA=="},
    }
    material = made()
    secret = write_secret(material, "ns", "name", found)
    assert secret["metadata"]["labels"] == {"a": "b"}
    assert secret["metadata"]["annotations"] == {"c": "d", "colocation-webhook.io/revision": "1"}
    assert secret["metadata"]["resourceVersion"] == "7"
    assert secret["data"]["theirs"] == "eA=="
    asking = write_secret(dataclasses.replace(material, requested=Rotate.CA), "ns", "name", secret)
    assert asking["metadata"]["annotations"]["colocation-webhook.io/rotate"] == "ca"
    assert read_secret(asking).requested is Rotate.CA
    assert (
        "colocation-webhook.io/rotate"
        not in write_secret(material, "ns", "name", asking)["metadata"]["annotations"]
    )


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
