"""What the API server demands of resources: of a container, of a pod, and claims of devices."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, containers
from webhook.pods.apiserver.defaulting import default_requests
from webhook.pods.pod import CONTAINER_LISTS, SECTIONS, mapping, mappings
from webhook.pods.quantities import milli, text_of
from webhook.pods.requests import pod_request
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_SKIP_UPDATE_RESOURCES, HUGEPAGES_PREFIX, NATIVE_RESOURCES, TRANSLATION

_MOST_LEVEL: Final = 16  # resources at the pod's level: cpu, memory, huge pages; others are refused
# A flaw that the translation carries over was there before.
_NATIVE: Final = {new: old for table in TRANSLATION.values() for old, new in table.items()}


def resources(resources: Object) -> Found:
    """Yield limits that are less than requests, or missing with them, and claims named twice."""
    requests, limits = (_quantities(resources, section) for section in SECTIONS)
    for name in requests:
        # Huge pages and resources of other domains cannot be overcommitted.
        exact = name.startswith(HUGEPAGES_PREFIX) or ("/" in name and "kubernetes.io/" not in name)
        if name in limits:
            request, limit = milli(text_of(requests[name])), milli(text_of(limits[name]))
            if request > limit or (exact and request != limit):
                yield Flaw(
                    _NATIVE.get(name, name),
                    f"makes the limit of {name} {limits[name]} where the request is {requests[name]}, which "
                    f"must {'equal it' if exact else 'not be higher'}: set both, or select other pods",
                )
        elif exact:
            yield Flaw(name, f"leaves a request of {name} without its limit: set both")
    claims: dict[str, list[str]] = {}
    for claim in mappings(resources.get("claims")):
        claims.setdefault(str(claim.get("name")), []).append(str(claim.get("request") or ""))
    for name, wanted in claims.items():
        if len(wanted) > 1 and ("" in wanted or len(set(wanted)) < len(wanted)):
            yield Flaw(f"claim {name}", f"names the claim {shown(name)} twice: name it once", ("claims",))


def huge_pages(holder: Object, others: Object) -> Found:
    """Yield huge pages of a container, or of a pod, that has no native cpu or memory.

    ``others``: amounts by name that count as its own, too.
    """
    resources = mapping(holder.get("resources"))
    names = {*_quantities(resources, "requests"), *_quantities(resources, "limits"), *others}
    if any(name.startswith(HUGEPAGES_PREFIX) for name in names) and names.isdisjoint(NATIVE_RESOURCES):
        yield Flaw(
            HUGEPAGES_PREFIX,
            "leaves huge pages without native cpu or memory, which they need: take the pod out of the "
            f"profile, or annotate the profile with {ANNOTATION_SKIP_UPDATE_RESOURCES}",
            ("resources",),
        )


def claims(spec: Object) -> Found:
    """Yield claims of containers that the pod does not have."""
    known = {str(claim.get("name")) for claim in mappings(spec.get("resourceClaims"))}
    for at, container in containers(spec):
        for claim in mappings(mapping(container.get("resources")).get("claims")):
            if (name := claim.get("name")) and str(name) not in known:
                problem = (
                    f"leaves a claim {shown(name)} in {shown(container.get('name'))} that is none of "
                    "resourceClaims: add it there, or select only pods that have it"
                )
                fields = (f"{at}/resources/claims", "resourceClaims")
                yield Flaw(f"claim {container.get('name')} {name}", problem, fields)


def pod_level(spec: Object) -> Found:
    """Yield resources at the pod's level that none may have, or that hold less than the containers'."""
    level = mapping(spec.get("resources"))
    requests, limits = (_quantities(level, section) for section in SECTIONS)
    for name in sorted(requests.keys() | limits.keys()):
        if name not in NATIVE_RESOURCES and not name.startswith(HUGEPAGES_PREFIX):
            problem = (
                f"leaves {name} at the pod's level, where only cpu, memory and huge pages may be: "
                "set it to null"
            )
            yield Flaw(f"{name} of the pod", problem, ("resources",))
    if level.get("claims") is not None:
        yield Flaw("claims of the pod", "leaves claims at the pod's level: set them to null", ("resources",))
    if not limits and not requests:
        return
    holders: dict[str, Any] = {
        kind: [
            {"restartPolicy": each.get("restartPolicy"), "name": each.get("name")}
            | {"resources": {section: _quantities(each.get("resources"), section) for section in SECTIONS}}
            for each in mappings(spec.get(kind))
        ]
        for kind in CONTAINER_LISTS
    }
    pod = {"spec": holders}
    default_requests(pod)
    # The API server gives a pod the sums of its containers, where it states none.
    sums = {name: total for name in NATIVE_RESOURCES if (total := pod_request(pod, name))}
    yield from huge_pages(spec, sums)
    for name, quantity in islice({**limits, **requests}.items(), _MOST_LEVEL):
        total = pod_request(pod, name)
        if milli(text_of(quantity)) < total:
            problem = (
                f"leaves {quantity} of {name} for the pod, whose containers request {total / 1000:g}: raise "
                "it, or select only pods of which it holds the sum"
            )
            yield Flaw(f"sum of {name}", problem, ("resources", *CONTAINER_LISTS))
    yield from _above(holders["containers"], limits)


def _above(containers: list[dict[str, Any]], limits: Mapping[str, Any]) -> Found:
    """Yield limits of containers that are more than the pod's."""
    for name, quantity in islice(limits.items(), _MOST_LEVEL):
        for container in containers:
            limit = container["resources"]["limits"].get(name)
            if limit is not None and milli(text_of(limit)) > milli(text_of(quantity)):
                problem = (
                    f"leaves {quantity} of {name} as the pod's limit, where {shown(container['name'])} has "
                    f"{limit}: raise it, or select only pods of which no container has more"
                )
                yield Flaw(f"limit of {name}", problem, ("resources", *CONTAINER_LISTS))


def _quantities(resources: object, section: str) -> dict[str, Any]:
    """Return a section of resources without what a patch removes."""
    quantities = mapping(mapping(resources).get(section))
    return {k: v for k, v in quantities.items() if v is not None and not k.startswith("$")}
