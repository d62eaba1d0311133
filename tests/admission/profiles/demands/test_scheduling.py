"""What the API server demands of tolerations, constraints and affinities."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import pod

SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
KEYS = {"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}
TERM = {"topologyKey": "zone"}


def affine(term):
    """Return an affinity to other pods by one term."""
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def fielded(key, operator="In", values=("a",)):
    """Return an affinity to nodes by a field."""
    fields = [{"key": key, "operator": operator, "values": list(values)}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def tolerant(**fields):
    """Return a pod with a toleration."""
    return pod(tolerations=[{"key": "a"} | fields])


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "domains of a preference": (
        pod(topologySpreadConstraints=[SPREAD | {"whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}]),
        pod(topologySpreadConstraints=[SPREAD | {"minDomains": 2}]),
        "spec.topologySpreadConstraints[zone]",
    ),
    "keys without a selector": (
        pod(affinity=affine(TERM | {"matchLabelKeys": ["app"]})),
        pod(
            affinity=affine(TERM | {"matchLabelKeys": ["app"], "labelSelector": {"matchLabels": {"a": "b"}}})
        ),
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]",
    ),
    "a key in both": (
        pod(labels={"a": "b"}, affinity=affine(TERM | KEYS)),
        pod(affinity=affine(TERM | KEYS)),
        "",
    ),
    "a key in both of a constraint": (
        pod(labels={"a": "b"}, topologySpreadConstraints=[SPREAD | KEYS]),
        pod(topologySpreadConstraints=[SPREAD | KEYS]),
        "",
    ),
    "a field of nodes": (
        pod(affinity=fielded("zone")),
        pod(affinity=fielded("metadata.name")),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    ),
    "two constraints of one topology": (
        pod(topologySpreadConstraints=[SPREAD, SPREAD]),
        pod(topologySpreadConstraints=[SPREAD, SPREAD | {"whenUnsatisfiable": "ScheduleAnyway"}]),
        "spec.topologySpreadConstraints",
    ),
    "a topology of any name": (
        pod(topologySpreadConstraints=[SPREAD | {"topologyKey": ""}]),
        pod(topologySpreadConstraints=[SPREAD | {"topologyKey": "a b"}]),
        "spec.topologySpreadConstraints[].topologyKey",
    ),
    "keys that match and do not": (
        pod(affinity=affine(TERM | KEYS | {"mismatchLabelKeys": ["a"]})),
        pod(affinity=affine(TERM | KEYS | {"mismatchLabelKeys": ["b"]})),
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]",
    ),
    "a key that the selector tests twice": (
        pod(
            affinity=affine(
                TERM
                | KEYS
                | {
                    "labelSelector": {
                        "matchLabels": {"a": "b"},
                        "matchExpressions": [{"key": "a", "operator": "Exists"}],
                    }
                }
            )
        ),
        pod(
            affinity=affine(
                TERM
                | KEYS
                | {
                    "labelSelector": {
                        "matchLabels": {"c": "b"},
                        "matchExpressions": [{"key": "a", "operator": "Exists"}],
                    }
                }
            )
        ),
        "",
    ),
    "a field of nodes by another operator": (
        pod(affinity=fielded("metadata.name", "Exists", ())),
        pod(affinity=fielded("metadata.name", "NotIn")),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    ),
    "two names of a node": (
        pod(affinity=fielded("metadata.name", values=("a", "b"))),
        pod(affinity=fielded("metadata.name", values=("a.b",))),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    ),
    "no name of a node": (
        pod(affinity=fielded("metadata.name", values=("A",))),
        pod(affinity=fielded("metadata.name", values=("a",))),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    ),
    "a value that no taint has": (tolerant(value="a b"), tolerant(value="a"), "spec.tolerations[0]"),
    "a comparison of no number": (
        tolerant(operator="Gt", value="x"),
        tolerant(operator="Gt", value="-5"),
        "spec.tolerations[0]",
    ),
    "a comparison of a number that is too large": (
        tolerant(operator="Lt", value=str(2**63)),
        tolerant(operator="Lt", value=str(2**63 - 1)),
        "spec.tolerations[0]",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
