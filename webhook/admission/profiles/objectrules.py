"""What the API server demands of an object of a pod beyond its single fields, by the object's type.

Each check yields flaws. Fields of other types than the schema says are not looked at.

Source: Kubernetes, ``pkg/apis/core/validation`` (its behaviour); the end-to-end test
``admission/test_results.py`` compares random pods with it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from webhook.admission.profiles.podschema import DIRECTIVE
from webhook.pods.apiserver.defaulting import default_requests
from webhook.pods.pod import ALWAYS, CONTAINER_LISTS, SECTIONS, mapping, mappings
from webhook.pods.quantities import milli, parse, text_of
from webhook.pods.requests import pod_request
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_SKIP_UPDATE_RESOURCES, HUGEPAGES_PREFIX, NATIVE_RESOURCES, TRANSLATION

_Object = Mapping[str, Any]
MAX_ANNOTATIONS: Final = 256 * 1024
"""Bytes of all keys and values."""
_MOST_LEVEL: Final = 16  # resources at the pod's level: cpu, memory, huge pages; others are refused


# What a pod can read of itself: everywhere; in variables, too.
_FIELDS: Final = ("metadata.name", "metadata.namespace", "metadata.uid")
_ADDRESSES: Final = ("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
_FIELDS_OF_VARIABLES: Final = ("spec.nodeName", "spec.serviceAccountName", *_ADDRESSES)
_SUBSCRIPT: Final = re.compile(r"metadata\.(?:labels|annotations)\['.*'\]", re.DOTALL)


class Flaw(NamedTuple):
    """What is wrong with an object.

    Attributes:
        key: identifies the flaw, so that it is found again in the object before a change.
        problem: what is wrong and the remedy; its subject is the profile that made the change.
        fields: where to look for the cause, as JSON Pointers below the object; empty for all of it.
    """

    key: str
    problem: str
    fields: tuple[str, ...] = ()


_Found = Iterator[Flaw]
# A flaw that the translation carries over was there before.
_NATIVE: Final = {new: old for table in TRANSLATION.values() for old, new in table.items()}


def _one_of(*names: str, needed: bool = False) -> Callable[[_Object], _Found]:
    """Return the check of an object that may have one of some fields; without names, of all but ``name``."""

    def check(value: _Object) -> _Found:
        fields = names or (name for name in value if name != "name" and not name.startswith("$"))
        given = [name for name in fields if value.get(name) not in (None, "")]
        if len(given) > 1:
            listed = " and ".join(sorted(given))
            yield Flaw("many", f"leaves {listed}, of which there may be one: set the others to null")
        if needed and not given:
            listed = ", ".join(names)
            yield Flaw("none", f"leaves none of {listed}: set one, or select only pods that have one")

    return check


def _texts(value: object) -> list[str]:
    """Return what should be a list of texts."""
    return list(map(str, value)) if isinstance(value, list) else []


def _quantities(resources: object, section: str) -> dict[str, Any]:
    """Return a section of resources without what a patch removes."""
    quantities = mapping(mapping(resources).get(section))
    return {k: v for k, v in quantities.items() if v is not None and not k.startswith("$")}


def _resources(resources: _Object) -> _Found:
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
    names = requests.keys() | limits.keys()
    if any(name.startswith(HUGEPAGES_PREFIX) for name in names) and names.isdisjoint(NATIVE_RESOURCES):
        yield Flaw(
            HUGEPAGES_PREFIX,
            "leaves huge pages without native cpu or memory, which they need: take the pod out of the "
            f"profile, or annotate the profile with {ANNOTATION_SKIP_UPDATE_RESOURCES}",
        )


def _metadata(metadata: _Object) -> _Found:
    texts = metadata.get("annotations")
    if isinstance(texts, Mapping):
        size = sum(len(str(text).encode()) for pair in texts.items() for text in pair)
        if size > MAX_ANNOTATIONS:
            problem = f"makes all annotations {size} bytes, of {MAX_ANNOTATIONS} at most: write shorter ones"
            yield Flaw("size", problem, ("annotations",))


def _pod_spec(spec: _Object) -> _Found:
    volumes = {str(volume.get("name")) for volume in mappings(spec.get("volumes"))}
    names: dict[str, str] = {}
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(mappings(spec.get(kind))):
            name, at = str(container.get("name")), f"{kind}/{i}"
            if name in names and DIRECTIVE not in container:
                problem = f"adds a second container {shown(name)}: name it otherwise"
                yield Flaw(f"{name} twice", problem, (at, names[name]))
            names[name] = at
            yield from _mounts(container, volumes, at)
            if kind == "initContainers" and container.get("restartPolicy") != ALWAYS:
                yield from _of_sidecars(container, at)
    yield from _host_ports(spec)
    yield from _excluding(spec)
    yield from _pod_level(spec)


def _pod_level(spec: _Object) -> _Found:
    """Yield resources at the pod's level that hold less than those of the containers."""
    requests, limits = (_quantities(spec.get("resources"), section) for section in SECTIONS)
    if not limits and not requests:
        return
    holders = {
        kind: [
            {"restartPolicy": each.get("restartPolicy"), "name": each.get("name")}
            | {"resources": {section: _quantities(each.get("resources"), section) for section in SECTIONS}}
            for each in mappings(spec.get(kind))
        ]
        for kind in CONTAINER_LISTS
    }
    containers = {"spec": holders}
    default_requests(containers)
    for name, quantity in islice({**limits, **requests}.items(), _MOST_LEVEL):
        total = pod_request(containers, name)
        if milli(text_of(quantity)) < total:
            problem = (
                f"leaves {quantity} of {name} for the pod, whose containers request {total / 1000:g}: raise "
                "it, or select only pods of which it holds the sum"
            )
            yield Flaw(f"sum of {name}", problem, ("resources", *CONTAINER_LISTS))
    for name, quantity in islice(limits.items(), _MOST_LEVEL):
        for container in holders["containers"]:
            limit = container["resources"]["limits"].get(name)
            if limit is not None and parse(text_of(limit)) > parse(text_of(quantity)):
                problem = (
                    f"leaves {quantity} of {name} as the pod's limit, where {shown(container['name'])} has "
                    f"{limit}: raise it, or select only pods of which no container has more"
                )
                yield Flaw(f"limit of {name}", problem, ("resources", *CONTAINER_LISTS))


def _excluding(spec: _Object) -> _Found:
    """Yield single fields of a spec that exclude each other."""
    if spec.get("dnsPolicy") == "None" and not mapping(spec.get("dnsConfig")).get("nameservers"):
        problem = "leaves dnsPolicy None without dnsConfig.nameservers: set both"
        yield Flaw("nameservers", problem, ("dnsPolicy", "dnsConfig"))
    for first, second in (("hostPID", "shareProcessNamespace"), ("nodeName", "schedulingGates")):
        if spec.get(first) and spec.get(second):
            problem = f"leaves {first} and {second}, of which there may be one: set the other to null"
            yield Flaw(first, problem, (first, second))


def _mounts(container: _Object, volumes: set[str], at: str) -> _Found:
    for field in ("volumeMounts", "volumeDevices"):
        for mount in mappings(container.get(field)):
            if DIRECTIVE not in mount and (name := mount.get("name")) and str(name) not in volumes:
                problem = (
                    f"leaves a mount of {shown(name)} in {shown(container.get('name'))} without its "
                    "volume: add the volume, or select only pods that have it"
                )
                yield Flaw(f"{container.get('name')} {name}", problem, (f"{at}/{field}", "volumes"))


def _host_ports(spec: _Object) -> _Found:
    """Yield ports of the node that two containers want, or that are others than the containers' own."""
    on_host = spec.get("hostNetwork") is True
    taken: dict[str, str] = {}
    for i, container in enumerate(mappings(spec.get("containers"))):
        at, name = f"containers/{i}/ports", container.get("name")
        for port in mappings(container.get("ports")):
            own = port.get("containerPort")
            host = port.get("hostPort") or (own if on_host else None)
            key = f"{port.get('protocol') or 'TCP'}/{port.get('hostIP') or ''}/{host}"
            if on_host and host != own:
                problem = (
                    f"leaves a hostPort {shown(host)} that is not the containerPort {shown(own)} on the "
                    "host's network: make them equal, or select only pods of which they are"
                )
                yield Flaw(f"{name} {own}", problem, (at, "hostNetwork"))
            if host and key in taken:
                problem = f"takes the hostPort {shown(host)} of the node twice: write another one"
                yield Flaw(key, problem, (at, taken[key], "hostNetwork"))
            taken.setdefault(key, at)


def _of_sidecars(container: _Object, at: str) -> _Found:
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field):
            problem = (
                f"leaves the init container {shown(container.get('name'))} a {field}, which only a "
                "sidecar may have: set restartPolicy to Always, or select only pods of which it is a sidecar"
            )
            yield Flaw(f"{container.get('name')} {field}", problem, (at,))


def _container(container: _Object) -> _Found:
    names = Counter(str(port["name"]) for port in mappings(container.get("ports")) if port.get("name"))
    for name in (name for name, count in names.items() if count > 1):
        yield Flaw(f"port {name}", f"names two ports {shown(name)}: name one of them otherwise")
    if mapping(container.get("readinessProbe")).get("terminationGracePeriodSeconds") is not None:
        yield Flaw(
            "readiness", "sets readinessProbe.terminationGracePeriodSeconds, which other probes may have"
        )
    for field in ("livenessProbe", "startupProbe"):
        times = mapping(container.get(field)).get("successThreshold")
        if times not in (None, 0, 1):
            yield Flaw(field, f"sets {field}.successThreshold to {shown(times)}, which must be 1")
    privileged = mapping(container.get("securityContext")).get("privileged") is True
    for mount in mappings(container.get("volumeMounts")):
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            yield Flaw(
                f"propagation {mount.get('mountPath')}",
                f"leaves the mount {shown(mount.get('mountPath'))} Bidirectional in a container that is not "
                "privileged: set securityContext.privileged, or another mountPropagation",
            )


def _security_context(context: _Object) -> _Found:
    grants = "CAP_SYS_ADMIN" in _texts(mapping(context.get("capabilities")).get("add"))
    if context.get("allowPrivilegeEscalation") is False and (context.get("privileged") is True or grants):
        what = "privileged" if context.get("privileged") is True else "CAP_SYS_ADMIN"
        yield Flaw(
            "escalation", f"leaves {what} and allowPrivilegeEscalation: false, which exclude each other"
        )


def _local_profile(profile: _Object) -> _Found:
    if (profile.get("type") == "Localhost") != bool(profile.get("localhostProfile")):
        yield Flaw(
            "local",
            "sets type Localhost without localhostProfile, or the other way round: set both or none",
        )


def _toleration(toleration: _Object) -> _Found:
    operator, effect = toleration.get("operator") or "Equal", toleration.get("effect")
    if not toleration.get("key") and operator != "Exists":
        yield Flaw("key", "tolerates an empty key, which needs operator Exists")
    if operator == "Exists" and toleration.get("value"):
        yield Flaw("value", "gives a value to operator Exists, which takes none")
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield Flaw("seconds", "sets tolerationSeconds, which needs effect NoExecute")


def _spread(constraint: _Object) -> _Found:
    if constraint.get("minDomains") is not None and constraint.get("whenUnsatisfiable") != "DoNotSchedule":
        yield Flaw("domains", "sets minDomains, which needs whenUnsatisfiable: DoNotSchedule")
    yield from _label_keys(constraint)


def _label_keys(term: _Object) -> _Found:
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        if term.get(field) and term.get("labelSelector") is None:
            yield Flaw(field, f"sets {field} without the labelSelector that they narrow: set both")


def _pod(pod: _Object) -> _Found:
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
        named = Counter(_texts(term.get("matchLabelKeys")))
        tested = {str(each.get("key")) for each in mappings(selector.get("matchExpressions"))}
        tested.update(mapping(selector.get("matchLabels")))
        for key in (key for key, count in named.items() if key in own and (count > 1 or key in tested)):
            problem = f"leaves {shown(key)} twice in matchLabelKeys and labelSelector: name it once"
            yield Flaw(f"{at} {key}", problem, (f"spec/{at}", "metadata/labels"))


def _pod_security_context(context: _Object) -> _Found:
    names = Counter(str(sysctl.get("name")) for sysctl in mappings(context.get("sysctls")))
    for name in (name for name, count in names.items() if count > 1):
        yield Flaw(f"sysctl {name}", f"sets the sysctl {shown(name)} twice: set it once")


def _node_term(term: _Object) -> _Found:
    for requirement in mappings(term.get("matchFields")):
        if requirement.get("key") not in (None, "metadata.name"):
            yield Flaw("fields", f"matches the field {shown(requirement['key'])}: only metadata.name can be")


def _field(reference: object, *more: str) -> _Found:
    """Yield a field of the pod that can be read neither anywhere nor here."""
    path = mapping(reference).get("fieldPath")
    if isinstance(path, str) and path not in (*_FIELDS, *more) and not _SUBSCRIPT.fullmatch(path):
        yield Flaw("field", f"reads the field {shown(path)}: read one of {', '.join((*_FIELDS, *more))}")


def _variable_source(source: _Object) -> _Found:
    yield from _one_of(
        "configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef", needed=True
    )(source)
    yield from _field(source.get("fieldRef"), *_FIELDS_OF_VARIABLES)


def _downward_file(file: _Object) -> _Found:
    yield from _one_of("fieldRef", "resourceFieldRef", needed=True)(file)
    yield from _field(file.get("fieldRef"), "metadata.labels", "metadata.annotations")
    reference = mapping(file.get("resourceFieldRef"))
    if reference and not reference.get("containerName"):
        yield Flaw("container", "leaves resourceFieldRef in a volume without containerName: set it")


def _host_path(source: _Object) -> _Found:
    path = source.get("path")
    if isinstance(path, str) and ".." in path.split("/"):
        yield Flaw("path", f"sets the path {shown(path)}: write it without ..")


def _projected(volume: _Object) -> _Found:
    paths: Counter[str] = Counter()
    for source in mappings(volume.get("sources")):
        for kind in ("secret", "configMap", "downwardAPI"):
            items = mappings(mapping(source.get(kind)).get("items"))
            paths.update(str(each["path"]) for each in items if each.get("path"))
        if path := mapping(source.get("clusterTrustBundle")).get("path"):
            paths[str(path)] += 1
    for path in (path for path, count in paths.items() if count > 1):
        yield Flaw(f"path {path}", f"projects two files onto the path {shown(path)}: give each its own")


def _requirement(requirement: _Object) -> _Found:
    operator, values = requirement.get("operator"), _texts(requirement.get("values"))
    if operator in ("In", "NotIn") and not values:
        yield Flaw("values", f"gives operator {operator} no values")
    if operator in ("Exists", "DoesNotExist") and values:
        yield Flaw("values", f"gives operator {operator} values, of which it takes none")
    if operator in ("Gt", "Lt") and len(values) != 1:
        yield Flaw("values", f"gives operator {operator} {len(values)} values: it takes one")


CHECKS: Final[Mapping[str, Callable[[_Object], _Found]]] = {
    "AppArmorProfile": _local_profile,
    "Container": _container,
    "DownwardAPIVolumeFile": _downward_file,
    "EnvFromSource": _one_of("configMapRef", "secretRef", needed=True),
    "EnvVar": _one_of("value", "valueFrom"),
    "EnvVarSource": _variable_source,
    "HostPathVolumeSource": _host_path,
    "LabelSelectorRequirement": _requirement,
    "LifecycleHandler": _one_of("exec", "httpGet", "sleep", "tcpSocket", needed=True),
    "NodeSelectorRequirement": _requirement,
    "NodeSelectorTerm": _node_term,
    "ObjectMeta": _metadata,
    "Pod": _pod,
    "PodAffinityTerm": _label_keys,
    "PodSecurityContext": _pod_security_context,
    "PodSpec": _pod_spec,
    "Probe": _one_of("exec", "grpc", "httpGet", "tcpSocket", needed=True),
    "ProjectedVolumeSource": _projected,
    "ResourceRequirements": _resources,
    "SeccompProfile": _local_profile,
    "SecurityContext": _security_context,
    "Toleration": _toleration,
    "TopologySpreadConstraint": _spread,
    "Volume": _one_of(),
    "VolumeMount": _one_of("subPath", "subPathExpr"),
    "VolumeProjection": _one_of(),
}
