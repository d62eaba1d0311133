"""What the API server demands of tolerations, spread constraints, affinities and selectors."""

import re
from collections import Counter
from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, present, repeated, texts
from webhook.admission.profiles.demands.forms import is_subdomain
from webhook.pods.labels import value_problem
from webhook.pods.pod import mapping, mappings
from webhook.pods.text import shown

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,20}")
_MAX: Final = 2**63


def toleration(toleration: Object) -> Found:
    """Yield operators, values and seconds that do not go together."""
    operator, effect = toleration.get("operator") or "Equal", toleration.get("effect")
    value = str(toleration.get("value") or "")
    if not toleration.get("key") and operator != "Exists":
        yield Flaw("key", "tolerates an empty key, which needs operator Exists")
    if operator == "Exists" and value:
        yield Flaw("value", "gives a value to operator Exists, which takes none")
    if operator == "Equal" and (problem := value_problem(value)):
        yield Flaw("value", f"tolerates what no taint has: {problem}")
    if operator in ("Gt", "Lt") and not (_INTEGER.fullmatch(value) and -_MAX <= int(value) < _MAX):
        yield Flaw("value", f"compares by {operator} with {shown(value)}, which is no integer of 64 bits")
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield Flaw("seconds", "sets tolerationSeconds, which needs effect NoExecute")


def spread(constraint: Object) -> Found:
    """Yield domains that need another policy, and keys that need a selector."""
    if constraint.get("minDomains") is not None and constraint.get("whenUnsatisfiable") != "DoNotSchedule":
        yield Flaw("domains", "sets minDomains, which needs whenUnsatisfiable: DoNotSchedule")
    yield from label_keys(constraint)


def label_keys(term: Object) -> Found:
    """Yield keys of labels without a selector that they narrow, or that are to match and not to match."""
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        if term.get(field) and term.get("labelSelector") is None:
            yield Flaw(field, f"sets {field} without the labelSelector that they narrow: set both")
    both = set(texts(term.get("matchLabelKeys"))) & set(texts(term.get("mismatchLabelKeys")))
    for key in sorted(both):
        yield Flaw(
            f"{key} in both", f"names {shown(key)} in matchLabelKeys and mismatchLabelKeys: name it once"
        )


def constraints(spec: Object) -> Found:
    """Yield spread constraints of one topology and one policy."""
    pairs = (
        f"{constraint.get('topologyKey')} {constraint.get('whenUnsatisfiable')}"
        for constraint in present(spec.get("topologySpreadConstraints"))
    )
    for pair in repeated(pairs):
        problem = (
            f"leaves two constraints {shown(pair)}, of which there may be one: write another topologyKey"
        )
        yield Flaw(f"constraint {pair}", problem, ("topologySpreadConstraints",))


def narrowed(pod: Object) -> Found:
    """Yield keys that narrow a selector to the pod's own label and that the selector tests already."""
    metadata, spec = (mapping(pod.get(field)) for field in ("metadata", "spec"))
    own = mapping(metadata.get("labels")).keys()
    terms = [("topologySpreadConstraints", each) for each in mappings(spec.get("topologySpreadConstraints"))]
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = mapping(mapping(spec.get("affinity")).get(kind))
        preferred = mappings(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))
        found = mappings(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
        found += [mapping(each.get("podAffinityTerm")) for each in preferred]
        terms += [(f"affinity/{kind}", each) for each in found]
    for at, term in terms:
        selector = mapping(term.get("labelSelector"))
        named = Counter(texts(term.get("matchLabelKeys")))
        tested = Counter(str(each.get("key")) for each in mappings(selector.get("matchExpressions")))
        tested.update(mapping(selector.get("matchLabels")).keys())
        for key, count in named.items():
            if tested[key] + (count if key in own else 0) > 1:
                problem = f"leaves {shown(key)} twice in matchLabelKeys and labelSelector: name it once"
                yield Flaw(f"{at} {key}", problem, (f"spec/{at}", "metadata/labels"))


def node_term(term: Object) -> Found:
    """Yield fields of nodes that cannot be matched, or not so."""
    for requirement in mappings(term.get("matchFields")):
        values = texts(requirement.get("values"))
        if requirement.get("key") not in (None, "metadata.name"):
            yield Flaw("fields", f"matches the field {shown(requirement['key'])}: only metadata.name can be")
        if requirement.get("operator") not in ("In", "NotIn") or len(values) != 1:
            yield Flaw("values of fields", "matches a field otherwise than by In or NotIn and one value")
        elif not is_subdomain(values[0]):
            yield Flaw("values of fields", f"matches nodes by {shown(values[0])}, which is no name of a node")


def requirement(requirement: Object) -> Found:
    """Yield values that do not go with their operator."""
    operator, values = requirement.get("operator"), texts(requirement.get("values"))
    if operator in ("In", "NotIn") and not values:
        yield Flaw("values", f"gives operator {operator} no values")
    if operator in ("Exists", "DoesNotExist") and values:
        yield Flaw("values", f"gives operator {operator} values, of which it takes none")
    if operator in ("Gt", "Lt") and len(values) != 1:
        yield Flaw("values", f"gives operator {operator} {len(values)} values: it takes one")
