"""Which pods a ResourceQuota counts, beside a model written after Kubernetes' documentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.apiserver.resourcequota import ResourceQuota, Scope, is_best_effort

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
CLASSES = ("", "koord-batch", "koord-prod")


def pod(resources=None, *, level=None, name="", **spec):
    """Return a pod with one container."""
    own = {"priorityClassName": name} if name else {}
    return {"spec": {"containers": [{"resources": resources or {}}], "resources": level, **own, **spec}}


def in_words(operator, values, name):
    """Say what the documentation says of each operator."""
    return {
        "In": name != "" and name in values,
        "NotIn": name == "" or name not in values,
        "Exists": name != "",
        "DoesNotExist": name == "",
    }[operator]


@given(
    st.sampled_from(OPERATORS),
    st.frozensets(st.sampled_from(("koord-batch", "koord-prod", "other")), min_size=1),
    st.sampled_from(CLASSES),
    st.booleans(),
)
def test_scopes_of_priority_classes(operator, values, name, deadline):
    """Each operator; several scopes must all hold."""
    made = pod(name=name, **({"activeDeadlineSeconds": 60} if deadline else {}))
    scope = Scope("PriorityClass", operator, values)
    assert ResourceQuota("q", (scope,), counts_native=True).selects(made) is in_words(operator, values, name)
    both = ResourceQuota("q", (scope, Scope("Terminating")), counts_native=True)
    assert both.selects(made) is (in_words(operator, values, name) and deadline)


AFFINE = {"topologyKey": "zone", "namespaces": ["other"]}


@pytest.mark.parametrize(
    ("made", "scopes"),
    [
        (pod(), {"NotTerminating", "BestEffort"}),
        (pod(activeDeadlineSeconds=0), {"Terminating", "BestEffort"}),
        (pod({"requests": {"cpu": "1"}}), {"NotTerminating", "NotBestEffort"}),
        (pod({"limits": {"memory": 5}}, activeDeadlineSeconds=9), {"Terminating", "NotBestEffort"}),
        (pod({"requests": {"kubernetes.io/batch-cpu": "1k"}}), {"NotTerminating", "BestEffort"}),
        (pod({"requests": {"cpu": "0"}, "limits": {"nvidia.com/gpu": 1}}), {"NotTerminating", "BestEffort"}),
        (pod(level={"requests": {"cpu": "1"}}), {"NotTerminating", "NotBestEffort"}),
        (
            pod({"requests": {"cpu": "1"}}, level={"limits": {"hugepages-2Mi": "2Mi"}}),
            {"NotTerminating", "BestEffort"},
        ),
        (
            pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [AFFINE]}}),
            {"NotTerminating", "BestEffort", "CrossNamespacePodAffinity"},
        ),
        (
            pod(
                affinity={
                    "podAntiAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "podAffinityTerm": {"namespaceSelector": {}}}
                        ]
                    }
                }
            ),
            {"NotTerminating", "BestEffort", "CrossNamespacePodAffinity"},
        ),
        (
            pod(
                affinity={
                    "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": []}]}
                }
            ),
            {"NotTerminating", "BestEffort"},
        ),
        (
            pod(
                affinity={
                    "podAffinity": 3,
                    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": 1},
                }
            ),
            {"NotTerminating", "BestEffort"},
        ),
    ],
)
def test_the_other_scopes(made, scopes):
    """Whether they stand in scopes or in a selector, whose operator is not asked."""
    every = (
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "CrossNamespacePodAffinity",
        "Unknown",
    )
    for operator in ("Exists", "In"):
        found = {
            s for s in every if ResourceQuota("q", (Scope(s, operator),), counts_native=True).selects(made)
        }
        assert found == scopes


TRANSLATED = pod({"requests": {"kubernetes.io/batch-cpu": "1k"}}, name="koord-batch")


@pytest.mark.parametrize(
    ("scopes", "counts_native", "said"),
    [
        ((), True, "requires native cpu/memory"),
        ((), False, None),
        ((Scope("NotBestEffort"),), True, None),
        ((Scope("BestEffort"),), False, "counts BestEffort pods"),
        ((Scope("PriorityClass", "In", frozenset({"koord-prod"})),), True, None),
        ((Scope("PriorityClass", "NotIn", frozenset({"koord-prod"})),), True, "requires native cpu/memory"),
        ((Scope("PriorityClass", "In", frozenset({"koord-batch"})),), True, "requires native cpu/memory"),
        ((Scope("PriorityClass", "In", frozenset({"koord-batch"})),), False, None),
        ((Scope("PriorityClass", "Exists"), Scope("BestEffort")), False, "counts BestEffort pods"),
        ((Scope("PriorityClass", "DoesNotExist"), Scope("BestEffort")), False, None),
    ],
)
def test_what_may_refuse_a_translated_pod(scopes, counts_native, said):
    """A quota that selects it, and counts what it lacks or counts it as BestEffort."""
    found = ResourceQuota("q", scopes, counts_native).refusal(TRANSLATED)
    assert said in found if said else found is None


def test_a_quota_asks_nothing_of_containers_of_a_pod_with_resources_of_its_own():
    """As of Kubernetes 1.34."""
    kept = pod(level={"requests": {"cpu": "1", "memory": "1Gi"}})
    assert not is_best_effort(kept)
    assert ResourceQuota("q", (), counts_native=True).refusal(kept) is None
