"""One replica out of several."""

import pytest

from webhook.kube.client import ApiError
from webhook.kube.lease import DURATION, Lease

LEASES = "/apis/coordination.k8s.io/v1/namespaces/home/leases"


class Clock:
    """Seconds that a test moves on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return them."""
        return self.now


def lease(fake, identity, clock):
    """A replica's lease."""
    fake.objects.setdefault(LEASES, {})
    return Lease(fake.api(), "home", "l", identity=identity, clock=clock)


def spec(fake):
    """The Lease as it is stored."""
    return fake.objects[LEASES]["", "l"]["spec"]


def test_one_of_two_holds_it_until_it_stops_renewing(fake):
    """The other takes over when the record has stood still for its duration, by its own clock."""
    clock = Clock()
    a, b = lease(fake, "a", clock), lease(fake, "b", clock)
    assert a.keep()
    assert not b.keep()
    assert (a.held, b.held) == (True, False)
    clock.now += DURATION - 1
    assert a.keep()
    assert not b.keep(), "it was renewed"
    clock.now += DURATION - 1
    assert not b.keep()
    assert not a.held, "who does not renew stops before another begins"
    clock.now += 2
    assert b.keep()
    assert spec(fake)["holderIdentity"] == "b"
    assert spec(fake)["leaseTransitions"] == 1
    assert not a.keep()


def test_it_is_given_back(fake):
    """Another need not wait."""
    clock = Clock()
    a, b = lease(fake, "a", clock), lease(fake, "b", clock)
    a.keep()
    b.keep()
    a.release()
    assert not a.held
    assert b.keep()
    a.release()
    assert spec(fake)["holderIdentity"] == "b", "who does not hold it gives nothing back"


def test_who_comes_too_late_does_not_hold_it(fake):
    """Two that take it at once: the API server lets one."""
    clock = Clock()
    a = lease(fake, "a", clock)
    fake.failures["POST", LEASES] = [(409, {"reason": "AlreadyExists"})]
    assert not a.keep()
    assert a.keep()
    fake.failures["PUT", f"{LEASES}/l"] = [(409, {"reason": "Conflict"})]
    assert not a.keep()


def test_a_refusal_is_an_error_that_says_what_is_lacking(fake):
    """The holder keeps it for as long as it lasts."""
    clock = Clock()
    a = lease(fake, "a", clock)
    a.keep()
    fake.failures["GET", f"{LEASES}/l"] = [(403, {"message": "leases is forbidden"})]
    with pytest.raises(ApiError, match="leases is forbidden"):
        a.keep()
    assert a.held


def test_replicas_have_names_of_their_own(fake):
    """Without a given one."""
    made = {Lease(fake.api(), "home", "l").holder for _ in range(9)}
    assert len(made) == 9
