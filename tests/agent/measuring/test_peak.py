"""What prod pods leave of their requests."""

import json

import pytest

from webhook.agent.measuring.peak import COLD_SECONDS, Peaks, Prediction, Subject
from webhook.agent.measuring.usage import Use

GI = 2.0**30
ALLOCATABLE = Use(16.0, 64 * GI)
MINUTES = int(COLD_SECONDS / 60) + 2


def _subject(uid: str = "a", *, of: str = "koord-prod", cpu: float = 8.0, ending: bool = False) -> Subject:
    return Subject(uid, of, Use(cpu, 16 * GI), ending)


def _trained(*pods: tuple[Subject, Use], minutes: int = MINUTES) -> Peaks:
    peaks = Peaks()
    for minute in range(minutes):
        peaks.train(1e9 + 60 * minute, pods, Use(0.5, GI))
    return peaks


def _predict(peaks: Peaks, *pods: Subject, allocatable: Use = ALLOCATABLE) -> Prediction:
    found = peaks.predict(pods, allocatable)
    assert found is not None
    return found


def test_nothing_is_foreseen_before_the_first_look() -> None:
    """There is no figure then, rather than a wrong one."""
    assert Peaks().predict([_subject()], ALLOCATABLE) is None


def test_a_pod_leaves_what_it_requests_beyond_its_peak() -> None:
    """The peak is what it used, rounded up by a bucket, and a tenth more; the system's counts, too."""
    pod = _subject()
    found = _predict(_trained((pod, Use(2.0, 4 * GI))), pod)
    # By the pod alone 8 - 2.2; with the system 8 - 2.75; each rounded up by a twentieth at most.
    assert 8 - 1.1 * 2.5 * 1.06 - 0.06 <= found.reclaimable.cpu <= 8 - 1.1 * 2.5
    assert 16 * GI - 1.1 * 5 * GI * 1.07 <= found.reclaimable.memory <= 16 * GI - 1.1 * 5 * GI
    assert 1.1 * 2.5 <= found.peak.cpu <= 1.1 * 2.5 * 1.06 + 0.06


@pytest.mark.parametrize("minutes", [1, MINUTES // 2])
def test_a_pod_that_was_watched_for_less_than_a_day_leaves_nothing(minutes: int) -> None:
    """Its request counts as its peak."""
    pod = _subject()
    found = _predict(_trained((pod, Use(2.0, 4 * GI)), minutes=minutes), pod)
    assert found.reclaimable == Use(0.0, 0.0)
    assert found.peak.cpu > 8.0


def test_only_prod_pods_that_stay_leave_something() -> None:
    """Batch and mid pods have no request to give; one that ends takes its request with it."""
    used = Use(1.0, GI)
    pods = [_subject("a", ending=True), _subject("b", of="koord-batch"), _subject("c", of="koord-mid")]
    assert _predict(_trained(*((pod, used) for pod in pods)), *pods).reclaimable == Use(0.0, 0.0)


def test_no_more_is_left_than_the_node_has() -> None:
    """Where requests exceed what is allocatable, as on a node that shrank."""
    pod = _subject(cpu=100.0)
    found = _predict(_trained((pod, Use(2.0, 4 * GI))), pod)
    assert found.reclaimable.cpu <= ALLOCATABLE.cpu - 2.5


def test_a_history_survives_a_restart() -> None:
    """What a file keeps foresees the same; training goes on where it was."""
    pod = _subject()
    peaks = _trained((pod, Use(2.0, 4 * GI)))
    restored = Peaks()
    restored.restore(json.loads(json.dumps(peaks.to_json())))
    assert _predict(restored, pod) == _predict(peaks, pod)
    restored.train(1e9 + 60 * MINUTES, [(pod, Use(2.0, 4 * GI))], Use(0.5, GI))
    assert _predict(restored, pod).reclaimable.cpu > 0


@pytest.mark.parametrize(
    "kept", [{}, {"pods": []}, {"pods": {"a": {}}, "groups": {}}, {"pods": {}, "groups": 1}]
)
def test_a_broken_file_is_refused(kept: dict[str, object]) -> None:
    """Nothing is taken of it, and what is known stays."""
    pod = _subject()
    peaks = _trained((pod, Use(2.0, 4 * GI)))
    before = _predict(peaks, pod)
    with pytest.raises(ValueError, match="lacks"):
        peaks.restore(kept)
    assert _predict(peaks, pod) == before


def test_a_clock_that_jumps_makes_nobody_known() -> None:
    """A jump of a day is no day of watching; and a pod that was just seen is not forgotten."""
    pod, used = _subject(), Use(2.0, 4 * GI)
    peaks = _trained((pod, used), minutes=10)
    peaks.train(2e9, [(pod, used)], Use(0.5, GI))
    assert _predict(peaks, pod).reclaimable == Use(0.0, 0.0)
    peaks = _trained((pod, used))
    peaks.train(5e8, [(pod, used)], Use(0.5, GI))
    assert _predict(peaks, pod).reclaimable.cpu > 0


def test_pods_that_are_gone_are_forgotten() -> None:
    """After half an hour; what is kept does not grow."""
    peaks = Peaks()
    for minute in range(200):
        peaks.train(1e9 + 60 * minute, [(_subject(f"pod-{minute}"), Use(1.0, GI))], Use(0.5, GI))
    assert len(peaks.to_json()["pods"]) <= 32
