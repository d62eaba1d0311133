"""What the API server demands of a pod's spec as a whole: names, mounts, ports of the node."""

from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, present, repeated, texts
from webhook.admission.profiles.demands.resources import claims, pod_level
from webhook.admission.profiles.demands.scheduling import constraints
from webhook.admission.profiles.demands.security import namespaces, systems
from webhook.admission.profiles.podschema import DIRECTIVE
from webhook.pods.pod import ALWAYS, CONTAINER_LISTS, mapping, mappings
from webhook.pods.text import shown

CROSS_CHECKED: Final = frozenset({
    "dnsPolicy", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostnameOverride", "nodeName",
    "restartPolicy", "setHostnameAsFQDN", "shareProcessNamespace", "terminationGracePeriodSeconds",
})  # fmt: skip
"""Single values of a spec that are checked against others."""
_UNIQUE: Final = ("resourceClaims", "schedulingGates", "volumes")
_MOST_SERVERS: Final = 3
_MOST_SEARCHES: Final = 32
_MAX_SEARCHES: Final = 2048  # characters of all, with a blank between
_GRACE: Final = 30  # seconds, where a pod states none
_LEAST_GRACE: Final = 1  # what the API server makes of a negative one
_MAX_HOST_NAME: Final = 64


def pod_spec(spec: Object) -> Found:
    """Yield what is wrong with a spec."""
    if spec.get("ephemeralContainers"):
        yield Flaw(
            "ephemeral",
            "adds ephemeralContainers, which a new pod cannot have: leave them out",
            ("ephemeralContainers",),
        )
    for field in _UNIQUE:
        for name in repeated(str(each.get("name")) for each in present(spec.get(field))):
            problem = f"leaves two {field} of the name {shown(name)}: name one of them otherwise"
            yield Flaw(f"{field} {name}", problem, (field,))
    yield from _containers(spec)
    yield from _host_ports(spec)
    yield from _names(spec)
    yield from namespaces(spec)
    yield from systems(spec)
    yield from constraints(spec)
    yield from claims(spec)
    yield from pod_level(spec)


def _containers(spec: Object) -> Found:
    names: dict[str, str] = {}
    volumes = {str(volume.get("name")): volume for volume in mappings(spec.get("volumes"))}
    grace = spec.get("terminationGracePeriodSeconds")
    seconds = _GRACE if not isinstance(grace, int) else _LEAST_GRACE if grace < 0 else grace
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(mappings(spec.get(kind))):
            name, at = str(container.get("name")), f"{kind}/{i}"
            if name in names and DIRECTIVE not in container:
                problem = f"adds a second container {shown(name)}: name it otherwise"
                yield Flaw(f"{name} twice", problem, (at, names[name]))
            names[name] = at
            yield from _mounts(container, volumes, at)
            yield from _files(container, volumes, at)
            yield from _sleeps(container, seconds, at)
            if kind == "initContainers" and container.get("restartPolicy") != ALWAYS:
                yield from _of_sidecars(container, at)
            if spec.get("restartPolicy") == "Never":
                yield from _restarts(container, at)


def _mounts(container: Object, volumes: dict[str, Object], at: str) -> Found:
    for field in ("volumeMounts", "volumeDevices"):
        for mount in present(container.get(field)):
            name = mount.get("name")
            if not name:
                continue
            if str(name) not in volumes:
                problem = (
                    f"leaves a mount of {shown(name)} in {shown(container.get('name'))} without its "
                    "volume: add the volume, or select only pods that have it"
                )
                yield Flaw(f"{container.get('name')} {name}", problem, (f"{at}/{field}", "volumes"))
            elif field == "volumeDevices" and not _is_claim(volumes[str(name)]):
                problem = (
                    f"leaves a device {shown(name)} in {shown(container.get('name'))} that is no volume of a "
                    "claim: make it one, or select only pods of which it is one"
                )
                yield Flaw(f"{container.get('name')} {name}", problem, (f"{at}/{field}", "volumes"))


def _is_claim(volume: Object) -> bool:
    return any(volume.get(field) is not None for field in ("persistentVolumeClaim", "ephemeral"))


def _files(container: Object, volumes: dict[str, Object], at: str) -> Found:
    """Yield variables that are read from a file of no emptyDir."""
    for variable in mappings(container.get("env")):
        name = mapping(mapping(variable.get("valueFrom")).get("fileKeyRef")).get("volumeName")
        if name and not _is_empty(volumes.get(str(name))):
            problem = (
                f"leaves the variable {shown(variable.get('name'))} of {shown(container.get('name'))} to a "
                f"file of {shown(name)}, which is no emptyDir: add one, or select only pods that have it"
            )
            yield Flaw(f"{container.get('name')} file {name}", problem, (f"{at}/env", "volumes"))


def _is_empty(volume: Object | None) -> bool:
    """Whether a volume is an emptyDir, as one without a source is."""
    return volume is not None and all(
        volume[field] is None for field in volume if field not in ("emptyDir", "name")
    )


def _sleeps(container: Object, grace: int, at: str) -> Found:
    for field in ("postStart", "preStop"):
        seconds = mapping(mapping(mapping(container.get("lifecycle")).get(field)).get("sleep")).get("seconds")
        if isinstance(seconds, int) and seconds > grace:
            problem = (
                f"leaves {field} of {shown(container.get('name'))} to sleep {seconds} seconds, of {grace} "
                "of grace: raise terminationGracePeriodSeconds, or write fewer"
            )
            fields = (f"{at}/lifecycle", "terminationGracePeriodSeconds")
            yield Flaw(f"{container.get('name')} {field}", problem, fields)


def _of_sidecars(container: Object, at: str) -> Found:
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field) is not None:
            problem = (
                f"leaves the init container {shown(container.get('name'))} a {field}, which only a "
                "sidecar may have: set restartPolicy to Always, or select only pods of which it is a sidecar"
            )
            yield Flaw(f"{container.get('name')} {field}", problem, (at,))


def _restarts(container: Object, at: str) -> Found:
    for policy in mappings(container.get("resizePolicy")):
        if policy.get("restartPolicy") not in (None, "", "NotRequired"):
            problem = (
                f"leaves a resizePolicy of {shown(container.get('name'))} that restarts it in a pod with "
                "restartPolicy Never: set it to NotRequired, or select other pods"
            )
            fields = (f"{at}/resizePolicy", "restartPolicy")
            yield Flaw(f"{container.get('name')} {policy.get('resourceName')} restarts", problem, fields)


def _host_ports(spec: Object) -> Found:
    """Yield ports of the node that two containers want, or that are others than the containers' own."""
    on_host = spec.get("hostNetwork") is True
    together: dict[str, str] = {}
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(mappings(spec.get(kind))):
            # Init containers run one after the other.
            taken = together if kind == "containers" else {}
            yield from _ports(container, f"{kind}/{i}/ports", taken, on_host=on_host)


def _ports(container: Object, at: str, taken: dict[str, str], *, on_host: bool) -> Found:
    name, runs_once = container.get("name"), at.startswith("initContainers")
    for port in mappings(container.get("ports")):
        own = port.get("containerPort")
        host = port.get("hostPort") or (own if on_host else None)
        key = f"{port.get('protocol') or 'TCP'}/{port.get('hostIP') or ''}/{host}"
        if on_host and host != own and not runs_once:
            problem = (
                f"leaves a hostPort {shown(host)} that is not the containerPort {shown(own)} on the "
                "host's network: make them equal, or select only pods of which they are"
            )
            yield Flaw(f"{name} {own}", problem, (at, "hostNetwork"))
        if host and key in taken:
            problem = f"takes the hostPort {shown(host)} of the node twice: write another one"
            yield Flaw(f"{name} {key}" if runs_once else key, problem, (at, taken[key], "hostNetwork"))
        taken.setdefault(key, at)


def _names(spec: Object) -> Found:
    """Yield servers and domains of names that are too few or too many, and a name that is too long."""
    config = mapping(spec.get("dnsConfig"))
    servers, searches = (config.get(field) for field in ("nameservers", "searches"))
    if spec.get("dnsPolicy") == "None" and not servers:
        problem = "leaves dnsPolicy None without dnsConfig.nameservers: set both"
        yield Flaw("nameservers", problem, ("dnsPolicy", "dnsConfig"))
    if len(texts(servers)) > _MOST_SERVERS:
        yield Flaw("many nameservers", f"sets more than {_MOST_SERVERS} nameservers", ("dnsConfig",))
    found = texts(searches)
    if len(found) > _MOST_SEARCHES or len(" ".join(found)) > _MAX_SEARCHES:
        problem = (
            f"sets searches that are more than {_MOST_SEARCHES}, or longer than {_MAX_SEARCHES} characters"
        )
        yield Flaw("searches", problem, ("dnsConfig",))
    if len(str(spec.get("hostnameOverride") or "")) > _MAX_HOST_NAME:
        problem = f"sets a hostnameOverride of more than {_MAX_HOST_NAME} characters: write a shorter one"
        yield Flaw("hostnameOverride", problem, ("hostnameOverride",))
