"""What the Secret should hold next: one step at a time, and never a pair that nobody trusts."""

import dataclasses
import datetime as dt

import pytest
import trustme

from tests.certificates.materials import DAY, LONG, NAME, NOW, TERMS, after, made
from webhook.certificates.issuing import Authority, issue
from webhook.certificates.rotation import CA_RENEW_BEFORE, Observed, Rotate, Terms, plan
from webhook.certificates.secret import read_secret, write_secret
from webhook.certificates.verifying import check_issued_by, check_pair, read_chain


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
