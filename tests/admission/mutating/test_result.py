"""Pods that the API server would refuse for what profiles did: we say so, with field, profile and remedy."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews.randompods import PRIORITY_CLASSES, RandomPods
from tests.builders import DEFAULTS, after, batch_profile, container, mutate, pod, priority_class, profile
from webhook.protocol import Action

EMPTY = {"name": "data", "emptyDir": {}}
MOUNT = {"name": "data", "mountPath": "/data"}
LIMITS = {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}


CLASSES = [priority_class(name, value) for name, value in PRIORITY_CLASSES.items()]


def caps(**spec):
    """Return a profile whose patch changes a pod's spec."""
    return profile("caps", patch={"spec": spec})


def main(**fields):
    """Return a profile whose patch changes the container ``main``."""
    return caps(containers=[{"name": "main"} | fields])


# A pod, and a patch that makes it invalid, each tried on a real API server; the field that is at fault.
INVALID = [
    (pod(container("app")), main(resources={"limits": {"cpu": "1"}}), "spec.containers[main].image"),
    (pod(), caps(initContainers=[{"name": "init"}]), "spec.initContainers[init].image"),
    (pod(), main(image=None), "spec.containers[main].image"),
    (pod(), main(volumeMounts=[{"mountPath": "/a"}]), "spec.containers[main].volumeMounts[/a].name"),
    (pod(), main(env=[{"name": "A", "valueFrom": {}}]), "spec.containers[main].env[A].valueFrom"),
    (
        pod(),
        main(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}]),
        "spec.containers[main].env[A].valueFrom.secretKeyRef.name",
    ),
    (
        pod(container(env=[{"name": "A", "value": "x"}])),
        main(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        "spec.containers[main].env[A]",
    ),
    (pod(), main(livenessProbe={"periodSeconds": 3}), "spec.containers[main].livenessProbe"),
    (
        pod(container(livenessProbe={"exec": {"command": ["a"]}})),
        main(livenessProbe={"tcpSocket": {"port": 1}}),
        "spec.containers[main].livenessProbe",
    ),
    (pod(), main(lifecycle={"postStart": {}}), "spec.containers[main].lifecycle.postStart"),
    (
        pod(volumes=[EMPTY]),
        caps(volumes=[{"name": "data", "configMap": {"name": "c"}}]),
        "spec.volumes[data]",
    ),
    (pod(), caps(volumes=[{"name": "v", "configMap": {}}]), "spec.volumes[v].configMap.name"),
    (pod(), main(volumeMounts=[MOUNT]), "spec"),
    (
        pod(container(volumeMounts=[MOUNT]), volumes=[EMPTY]),
        caps(volumes=[{"name": "data", "$patch": "delete"}]),
        "spec",
    ),
    (pod(), caps(securityContext={"seccompProfile": {}}), "spec.securityContext.seccompProfile.type"),
    (pod(), caps(os={}), "spec.os.name"),
    (
        pod(container(**LIMITS)),
        main(resources={"limits": {"cpu": "500m"}}),
        "spec.containers[main].resources",
    ),
    (pod(container(**LIMITS)), main(resources={"requests": {"cpu": 3}}), "spec.containers[main].resources"),
    (pod(), main(resources={"requests": {"example.com/a": "1"}}), "spec.containers[main].resources"),
    (
        pod(container(limits={"example.com/a": "1"})),
        main(resources={"requests": {"example.com/a": "2"}}),
        "spec.containers[main].resources",
    ),
    (
        pod(container(limits={"cpu": "1", "hugepages-2Mi": "4Mi"})),
        main(resources={"limits": {"cpu": None}}),
        "spec.containers[main].resources",
    ),
    (pod(resources=LIMITS), caps(resources={"limits": {"cpu": "500m"}}), "spec.resources"),
]
# The same patches with pods, or like patches with the same pods, of which nothing is wrong.
VALID = [
    (pod(), main(resources={"limits": {"cpu": "1"}})),
    (pod(), caps(initContainers=[{"name": "init", "image": "i"}])),
    (pod(), main(image="other")),
    (pod(container(env=[{"name": "A", "value": "x"}])), main(env=[{"name": "A", "value": "y"}])),
    (pod(volumes=[EMPTY]), caps(volumes=[{"name": "data", "emptyDir": None, "configMap": {"name": "c"}}])),
    (pod(volumes=[EMPTY]), main(volumeMounts=[MOUNT])),
    (pod(), caps(volumes=[{"name": "v"}])),
    (pod(volumes=[EMPTY]), caps(volumes=[{"name": "data", "$patch": "delete"}])),
    (pod(container(livenessProbe={"exec": {"command": ["a"]}})), main(livenessProbe={"periodSeconds": 3})),
    (pod(container(**LIMITS)), main(resources={"limits": {"cpu": "1000m"}})),
    (pod(container(**LIMITS)), main(resources={"limits": {"cpu": None}})),
    (pod(container(limits={"cpu": "1", "hugepages-2Mi": "4Mi"})), main(resources={"requests": {"cpu": "1"}})),
    (pod(resources=LIMITS), caps(resources={"limits": {"cpu": "3"}})),
    (pod(), caps(nodeSelector={"disk": "ssd"}, tolerations=[{"operator": "Exists"}])),
]


@pytest.mark.parametrize(("new", "patching", "at"), INVALID)
def test_a_patch_that_makes_a_pod_invalid(new, patching, at) -> None:
    """Admission §3.10: the pod is denied, and the message names field, profile and remedy."""
    denial = mutate(new, patching).denial
    assert denial is not None
    assert denial.startswith(f'{at}: profile "caps" (patch) ')
    assert re.search(r": (set|add|take|raise|make|select|correct|write|name) ", denial)
    assert denial.endswith("(rule valid-result)")


@pytest.mark.parametrize(("new", "patching"), VALID)
def test_a_patch_that_leaves_a_pod_whole(new, patching) -> None:
    """Admission §3.10: what the API server takes is not refused."""
    assert mutate(new, patching).denial is None


def test_another_profile_may_complete_what_one_leaves() -> None:
    """Admission §3.10: what counts is the pod after all profiles; the one that spoiled it is named."""
    new = pod(container("app"))
    completing = profile("z", patch={"spec": {"containers": [{"name": "main", "image": "i"}]}})
    assert mutate(new, main(), completing).denial is None
    other = profile("a", patch={"spec": {"containers": [{"name": "app", "tty": True}]}})
    assert 'profile "caps"' in (mutate(new, other, main()).denial or "")


def test_what_was_wrong_before_is_not_the_profile() -> None:
    """Admission §3.10: a mistake of the user's is the API server's to refuse."""
    wrong = container("main", requests={"cpu": "2"}, limits={"cpu": "1"})
    del wrong["image"]
    assert mutate(pod(wrong), main(tty=True, resources={"limits": {"memory": "1Gi"}})).denial is None


def test_each_profile_is_named_for_what_it_did() -> None:
    """Admission §3.10: of several profiles, the one whose change made the pod invalid."""
    decision = mutate(
        pod(container(**LIMITS), labels=None),
        profile("a", labels={"team": "x"}, koordinatorPriority=5),
        main(resources={"limits": {"cpu": "500m"}}),
        profile("z", koordinatorPriority=-1),
    )
    first, second = (decision.denial or "").split("; ")
    assert first.startswith('metadata.labels[koordinator.sh/priority]: profile "z" (koordinatorPriority) ')
    assert second.startswith('spec.containers[main].resources: profile "caps" (patch) ')


def test_a_priority_that_another_profile_replaces() -> None:
    """Admission §3.10: what counts is the pod at the end."""
    assert (
        mutate(pod(), profile("a", koordinatorPriority=-1), profile("b", koordinatorPriority=1)).denial
        is None
    )
    assert mutate(pod(), profile("a", koordinatorPriority=0)).denial is None


@pytest.mark.parametrize(("key", "denied"), [("team", True), ("other", False)])
def test_a_label_that_narrows_a_selector_twice(key, denied) -> None:
    """Admission §3.10: a profile of labels only, for a pod whose constraint tests the pod's own label."""
    narrowed = {
        "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["team"],
        "labelSelector": {"matchLabels": {"team": "a"}},
    }  # fmt: skip
    denial = mutate(pod(topologySpreadConstraints=[narrowed]), profile("a", labels={key: "a"})).denial or ""
    assert ("profile \"a\" (labels) leaves 'team' twice in matchLabelKeys" in denial) is denied


def test_a_number_of_thousands_of_digits() -> None:
    """Admission §3.10: what an annotation of the user's becomes is refused by name, and nothing fails."""
    cost = "controller.kubernetes.io/pod-deletion-cost"
    mapping = profile("a", annotationKeysMapping={"cost": cost})
    for text, denied in (("1" * 5000, True), ("-" + "0" * 5000 + "7", False)):
        denial = mutate(pod(annotations={"cost": text}), mapping).denial
        assert (denial is not None) is denied
        assert denial is None or denial.startswith(f'metadata.annotations[{cost}]: profile "a" ')


@pytest.mark.parametrize(
    ("own", "more"),
    [
        (
            {"ports": [{"containerPort": 53, "protocol": "UDP", "name": "BAD"}, {"containerPort": 53}]},
            {"ports": [{"containerPort": 80}]},
        ),
        (
            {"env": [{"name": "A", "valueFrom": {}}, {"name": "A", "value": "x"}]},
            {"env": [{"name": "B", "value": "1"}]},
        ),
    ],
)
def test_what_was_wrong_before_among_several_of_one_key(own, more) -> None:
    """Admission §3.10: it is its author's, whatever the profile adds to the list."""
    assert mutate(pod(container(**own)), main(**more)).denial is None


@pytest.mark.parametrize("length", [261_900, 262_100])
@pytest.mark.parametrize("letter", ["x", "ä"])
def test_annotations_beyond_what_a_pod_may_have(length, letter) -> None:
    """Admission §3.10: ours count, too: 256 KiB in all, of the user's own not a word."""
    own = {"note": letter * (length // len(letter.encode()))}
    denied = mutate(pod(annotations=own), batch_profile(annotations={"more": "y" * 100})).denial
    assert (denied is not None) is (length == 262_100)
    assert denied is None or denied.startswith('metadata.annotations: profile "batch" (annotations) makes')
    assert mutate(pod(annotations=own)).denial is None


def test_the_rule_can_be_set() -> None:
    """Admission §3.8: with ``warn`` the patch is the same, and with ``off`` nothing is said."""
    new, patching = INVALID[0][:2]
    warned, off = (
        mutate(new, patching, settings=replace(DEFAULTS, rules={"valid-result": action}))
        for action in (Action.WARN, Action.OFF)
    )
    assert [warning.partition(": ")[0] for warning in warned.warnings] == ["spec.containers[main].image"]
    assert off.warnings == ()
    assert after(warned, new)["spec"] == after(off, new)["spec"]


@pytest.mark.parametrize("seed", range(100))
def test_random_pods(seed) -> None:
    """Admission §3.10: each refusal names a field, a profile and the rule, and no other pod is refused."""
    made = RandomPods(seed)
    new, profiles = made.pod("pod-1"), made.profiles()
    denial = mutate(new, *profiles, *CLASSES).denial
    for message in denial.split(" (rule valid-result)")[:-1] if denial else ():
        assert re.match(r'(; )?(spec|metadata)[^"]*: profile "profile-[^"]*" \(', message)


sections = st.fixed_dictionaries(
    {},
    optional={
        section: st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "2", "3"]))
        for section in ("requests", "limits")
    },
)


@given(sections, sections, st.booleans())
def test_no_limit_ends_below_its_request(resources, patch, colocated) -> None:
    """Admission §3.10: a limit that the patch brings below its request is denied, and no other."""

    def unfit(found) -> set[str]:
        requests, limits = found.get("requests", {}), found.get("limits", {})
        return {name for name in requests.keys() & limits.keys() if requests[name] > limits[name]}

    merged = {s: resources.get(s, {}) | patch.get(s, {}) for s in ("requests", "limits")}
    others = (batch_profile(),) if colocated else ()
    denial = mutate(pod(container(**resources)), main(resources=patch), *others).denial
    assert (denial is not None) is bool(unfit(merged) - unfit(resources))
    assert denial is None or denial.startswith("spec.containers[main].resources: ")
