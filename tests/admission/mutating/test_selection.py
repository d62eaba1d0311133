"""Probability: exact, once for each pod, or once for a workload."""

import math
import uuid

import pytest

from tests.builders import (
    after,
    batch_profile,
    container,
    mutate,
    namespace,
    pod,
    profile,
    read,
    resources_of,
    review,
    view_of,
)
from webhook.admission.mutating.selection import matching, selected
from webhook.admission.profiles.profile import read_profile

KEY = b"a key"
PER_WORKLOAD = {"colocation-webhook.io/probability-scope": "workload"}


def taken(raw, reviews) -> int:
    """Count the reviews that a profile takes."""
    compiled = read_profile(raw)
    return sum(selected(compiled, each, KEY) for each in reviews)


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 75, 99])
def test_the_share_is_the_probability(percent) -> None:
    """Admission §3.2: over many uids the share is the probability, within five standard deviations."""
    base, count = read(review(pod())), 20_000
    reviews = (base._replace(uid=str(uuid.UUID(int=i * 7919))) for i in range(count))
    share = percent / 100
    bound = 5 * math.sqrt(count * share * (1 - share))
    assert abs(taken(profile(probability=percent), reviews) - count * share) < bound


@pytest.mark.parametrize(
    ("probability", "expected"), [(0, 0), ("0%", 0), (100, 3000), ("100%", 3000), (None, 3000)]
)
def test_none_and_all_are_exact(probability, expected) -> None:
    """Admission §3.2: 0 takes nobody and 100 everybody (not one in a hundred more or less)."""
    base = read(review(pod()))
    reviews = (base._replace(uid=f"uid-{i}") for i in range(3000))
    assert taken(profile(probability=probability), reviews) == expected


def test_profiles_roll_independently() -> None:
    """Admission §3.2: of two profiles of 50 % each takes its own half: a quarter of the pods gets both."""
    base = read(review(pod()))
    one, two = (read_profile(profile(name, probability=50)) for name in ("one", "two"))
    reviews = [base._replace(uid=f"uid-{i}") for i in range(4000)]
    both = sum(selected(one, each, KEY) and selected(two, each, KEY) for each in reviews)
    assert 850 < both < 1150


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": [{"uid": "replica-set", "controller": True}]},
        {"generateName": "web-7d4b9c6f5-"},
        {"name": "driver"},
    ],
    ids=["controller", "generateName", "name"],
)
def test_all_pods_of_a_workload_fall_the_same_way(metadata) -> None:
    """Admission §3.2: per workload the roll depends on the controller, not on the request."""
    new = pod()
    new["metadata"] |= metadata
    for percent in (10, 50, 90):
        raw = profile(marks=PER_WORKLOAD, probability=percent)
        reviews = [read(review(new, uid=f"uid-{i}")) for i in range(50)]
        assert taken(raw, reviews) in {0, 50}


def test_workloads_fall_each_for_itself() -> None:
    """Admission §3.2: over many workloads the share is the probability."""
    new = pod()
    reviews = []
    for i in range(2000):
        new["metadata"]["ownerReferences"] = [{"uid": "other"}, {"uid": f"rs-{i}", "controller": True}]
        reviews.append(read(review(new)))
    assert 850 < taken(profile(marks=PER_WORKLOAD, probability=50), reviews) < 1150


def test_owners_without_a_controller_are_no_workload() -> None:
    """An owner that does not control the pod does not decide about it."""
    new = pod()
    outcomes = set()
    for i in range(40):
        new["metadata"] |= {"name": f"pod-{i}", "ownerReferences": [{"uid": "same"}]}
        outcomes.add(taken(profile(marks=PER_WORKLOAD, probability=50), [read(review(new))]))
    assert outcomes == {0, 1}


def test_a_profile_left_out_has_no_effect() -> None:
    """Admission §3.2: neither its fields nor its skip-update-resources nor its match count."""
    skip = {"config.koordinator.sh/skip-update-resources": ""}
    left_out = batch_profile("left-out", marks=skip, probability=0, labels={"a": "b"})
    new = pod(container(requests={"cpu": "1"}), labels={"koordinator.sh/qosClass": "BE"})
    alone = mutate(new, left_out)
    assert alone.applied == ()
    assert not [o for o in alone.operations if "colocation-webhook.io" not in str(o)]
    changed = after(mutate(new, left_out, profile("plain")), new)
    assert resources_of(changed)["requests"] == {"kubernetes.io/batch-cpu": "1000"}
    assert "a" not in changed["metadata"]["labels"]


def test_both_selectors_must_match() -> None:
    """Admission §2: namespaceSelector and selector are asked, over the namespace's and the pod's labels."""
    raw = profile(
        selector={"matchLabels": {"app": "etl"}}, namespaceSelector={"matchLabels": {"team": "data"}}
    )
    for team, app, expected in (("data", "etl", 1), ("web", "etl", 0), ("data", "web", 0)):
        view = view_of([raw, namespace(labels={"team": team})])
        assert len(matching(read(review(pod(labels={"app": app}))), view)) == expected


def test_a_workload_rolls_otherwise_under_another_key() -> None:
    """Admission §3.2: without the key nobody can compute which names are left out."""
    compiled = read_profile(profile(probability=50, annotations=PER_WORKLOAD))
    names = [read(review(pod(name=f"job-{i}"))) for i in range(64)]
    falls = {key: [selected(compiled, each, key) for each in names] for key in (b"one", b"two")}
    assert falls[b"one"] != falls[b"two"]


@pytest.mark.parametrize("percent", [10, 50, 90])
@pytest.mark.parametrize("subject", ["name", "generateName", "controller", "uid of the request"])
def test_a_dry_run_tells_nothing_about_the_real_request(subject, percent) -> None:
    """Admission §3.2: of the pods that dry runs say are left out, no more escape than of all pods."""
    marks = PER_WORKLOAD if subject != "uid of the request" else {}
    compiled = read_profile(profile(marks=marks, probability=percent))
    spared = {True: set(), False: set()}
    for i in range(4000):
        new = pod(name=f"pod-{i}")
        if subject == "controller":
            new["metadata"]["ownerReferences"] = [{"uid": f"rs-{i}", "controller": True}]
        elif subject == "generateName":
            new["metadata"] = {"generateName": f"job-{i}-"}
        else:
            new["metadata"]["name"] = f"pod-{i}"
        for dry_run, found in spared.items():
            if not selected(compiled, read(review(new, uid=f"uid-{i}", dryRun=dry_run)), KEY):
                found.add(i)
    rest = 1 - percent / 100
    wanted = len(spared[True]) * rest
    assert abs(len(spared[True] & spared[False]) - wanted) < 5 * math.sqrt(wanted * percent / 100 + 1)
