"""Where a pod may be bound, as kube-scheduler and the kubelet see it."""

import pytest

from webhook.pods.nodes.nodefit import misfit

NODE = {
    "metadata": {"name": "node-1", "labels": {"zone": "a", "cores": "16", "empty": "", "name": "x"}},
    "spec": {"taints": [
        {"key": "team", "value": "shop", "effect": "NoSchedule"},
        {"key": "slow", "value": "9", "effect": "PreferNoSchedule"},
    ]},
}  # fmt: skip
TOLERATED = [{"key": "team", "operator": "Exists"}]


def said(**spec):
    """Why a pod with that spec may not be bound to the node, whose taint it tolerates by default."""
    return misfit({"metadata": {}, "spec": {"tolerations": TOLERATED, **spec}}, NODE)


def affinity(*terms):
    """A required node affinity."""
    required = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def term(operator, key, *values, field="matchExpressions"):
    """A term of one requirement."""
    return {field: [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ({"zone": "a"}, ""),
        ({"zone": "a", "empty": ""}, ""),
        ({"zone": "b"}, "the pod's nodeSelector asks for zone=b; node-1 has 'a'"),
        ({"zone": "a", "no": "where"}, "the pod's nodeSelector asks for no=where; node-1 has no such label"),
        ({"absent": ""}, "the pod's nodeSelector asks for absent=; node-1 has no such label"),
    ],
)
def test_a_node_selector_names_labels_that_the_node_has(selector, problem):
    """All of them, with these values."""
    assert said(nodeSelector=selector) == problem


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ([term("In", "zone", "a", "b")], True),
        ([term("In", "zone", "b")], False),
        ([term("In", "absent", "a")], False),
        ([term("NotIn", "zone", "b")], True),
        ([term("NotIn", "absent", "b")], True),
        ([term("NotIn", "zone", "a")], False),
        ([term("Exists", "empty")], True),
        ([term("Exists", "absent")], False),
        ([term("DoesNotExist", "absent")], True),
        ([term("DoesNotExist", "zone")], False),
        ([term("Gt", "cores", "8")], True),
        ([term("Gt", "cores", "16")], False),
        ([term("Lt", "cores", "17")], True),
        ([term("Lt", "zone", "17")], False),
        ([term("Gt", "absent", "1")], False),
        ([term("Gt", "cores", "many")], False),
        ([term("In", "metadata.name", "node-1", field="matchFields")], True),
        ([term("In", "metadata.name", "node-2", field="matchFields")], False),
        ([term("In", "name", "node-1")], False),  # a label of that name is no field
        ([term("In", "zone", "b"), term("In", "zone", "a")], True),
        ([{**term("In", "zone", "a"), **term("In", "metadata.name", "node-2", field="matchFields")}], False),
        ([{}], False),
        ([{"matchExpressions": []}, term("Exists", "zone")], True),
        ([term("Sideways", "zone", "a")], False),
    ],
)
def test_one_term_of_the_required_affinity_selects_the_node(terms, fits):
    """Each term with all its requirements; one without any selects nothing."""
    problem = "no term of the pod's required node affinity selects node-1"
    assert said(affinity=affinity(*terms)) == ("" if fits else problem)


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "team", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "team", "value": "shop", "effect": "NoSchedule"}, True),
        ({"key": "team", "operator": "Equal", "value": "shop"}, True),
        ({"key": "team", "value": "bank"}, False),
        ({"key": "teams", "operator": "Exists"}, False),
        ({"key": "team", "operator": "Gt", "value": "3"}, False),
        ({"key": "team"}, False),
    ],
)
def test_taints_that_keep_pods_out_are_tolerated(toleration, fits):
    """By key, value and effect; PreferNoSchedule keeps nobody out."""
    problem = "the pod does not tolerate the taint team=shop:NoSchedule of node-1"
    assert said(tolerations=[toleration]) == ("" if fits else problem)


@pytest.mark.parametrize(("operator", "fits"), [("Gt", True), ("Lt", False)])
def test_numbers_of_taints_are_compared(operator, fits):
    """KEP-5471: the taint's number with that of the toleration."""
    taints = [{"key": "level", "value": "950", "effect": "NoExecute"}]
    pod = {"spec": {"tolerations": [{"key": "level", "operator": operator, "value": "900"}]}}
    problem = misfit(pod, {"metadata": {"name": "n"}, "spec": {"taints": taints}})
    assert problem == ("" if fits else "the pod does not tolerate the taint level=950:NoExecute of n")


def test_a_pod_that_asks_for_nothing_fits_a_node_without_taints():
    """Preferences are none of it."""
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    pod = {"spec": {"affinity": {"nodeAffinity": preferred, "podAffinity": {}}}}
    assert misfit(pod, {"metadata": {"name": "n"}}) == ""
