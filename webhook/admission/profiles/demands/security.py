"""What the API server demands of security contexts, namespaces of the host and operating systems."""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, containers, present, repeated, texts
from webhook.pods.pod import CONTAINER_LISTS, mapping, mappings
from webhook.pods.text import shown

_MAX_PATH: Final = 4095
_MAX_CREDENTIALS: Final = 64 * 1024
_IPC_SYSCTLS: Final = {
    "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.shm",
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.msg",
}  # fmt: skip
_SPEC_NOT_ON_WINDOWS: Final = ("hostIPC", "hostPID", "hostUsers", "resources", "shareProcessNamespace")
# What a pod of an operating system cannot have in the contexts of the pod and of containers.
_NOT_ON: Final = {
    "linux": (("windowsOptions",), ("windowsOptions",)),
    "windows": (
        (
            "appArmorProfile", "fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsUser",
            "seLinuxChangePolicy", "seLinuxOptions", "seccompProfile", "supplementalGroups",
            "supplementalGroupsPolicy", "sysctls",
        ),
        (
            "allowPrivilegeEscalation", "appArmorProfile", "capabilities", "privileged", "procMount",
            "readOnlyRootFilesystem", "runAsGroup", "runAsUser", "seLinuxOptions", "seccompProfile",
        ),
    ),
}  # fmt: skip


_EXCLUDING: Final = (
    ("hostPID", "shareProcessNamespace"),
    ("hostNetwork", "hostnameOverride"),
    ("nodeName", "schedulingGates"),
    ("setHostnameAsFQDN", "hostnameOverride"),
)


def security_context(context: Object) -> Found:
    """Yield rights that a container may not gain and has."""
    grants = "CAP_SYS_ADMIN" in texts(mapping(context.get("capabilities")).get("add"))
    if context.get("allowPrivilegeEscalation") is False and (context.get("privileged") is True or grants):
        what = "privileged" if context.get("privileged") is True else "CAP_SYS_ADMIN"
        yield Flaw(
            "escalation", f"leaves {what} and allowPrivilegeEscalation: false, which exclude each other"
        )


def pod_security_context(context: Object) -> Found:
    """Yield sysctls that are set twice."""
    for name in repeated(str(sysctl.get("name")) for sysctl in present(context.get("sysctls"))):
        yield Flaw(f"sysctl {name}", f"sets the sysctl {shown(name)} twice: set it once")


def seccomp(profile: Object) -> Found:
    """Yield a path without the type that needs it, or the other way round."""
    yield from _local(profile, named=profile.get("localhostProfile") is not None)


def apparmor(profile: Object) -> Found:
    """Yield a name without the type that needs it, or the other way round; or one that is none."""
    name = profile.get("localhostProfile")
    named = bool(name) if profile.get("type") == "Localhost" else name is not None
    yield from _local(profile, named=named)
    if isinstance(name, str) and (name != name.strip() or len(name.encode()) > _MAX_PATH):
        yield Flaw(
            "name", "sets a localhostProfile with blanks around it, or of more than 4095 bytes: write another"
        )


def _local(profile: Object, *, named: bool) -> Found:
    if (profile.get("type") == "Localhost") != named:
        yield Flaw(
            "local",
            "sets type Localhost without localhostProfile, or the other way round: set both or none",
        )


def windows_options(options: Object) -> Found:
    """Yield credentials of Windows that are none."""
    credentials = options.get("gmsaCredentialSpec")
    if isinstance(credentials, str) and not 0 < len(credentials.encode()) <= _MAX_CREDENTIALS:
        yield Flaw("credentials", "sets a gmsaCredentialSpec that is empty, or of more than 64 KiB")


def namespaces(spec: Object) -> Found:
    """Yield what does not go with the namespaces that the pod shares with its node, or has of its own."""
    context = mapping(spec.get("securityContext"))
    for sysctl in mappings(context.get("sysctls")):
        name = str(sysctl.get("name"))
        if (shares := _sharing(name)) and spec.get(shares) is True:
            problem = (
                f"leaves the sysctl {shown(name)} in a pod with {shares}, for which it would be the node's: "
                "set the other to null, or select only pods without"
            )
            yield Flaw(f"sysctl {name}", problem, (shares, "securityContext"))
    yield from _excluding(spec)
    if spec.get("hostUsers") is False:
        return
    for at, container, own in _contexts(spec):
        if own.get("procMount") == "Unmasked":
            problem = (
                f"leaves procMount Unmasked in {shown(container.get('name'))}, which needs hostUsers: false: "
                "set both, or select only pods that have it"
            )
            yield Flaw(f"procMount {container.get('name')}", problem, (at, "hostUsers"))


def _excluding(spec: Object) -> Found:
    """Yield single fields of a spec that exclude each other."""
    for first, second in _EXCLUDING:
        if spec.get(first) and spec.get(second):
            problem = f"leaves {first} and {second}, of which there may be one: set the other to null"
            yield Flaw(f"{first} {second}", problem, (first, second))
    if spec.get("hostUsers") is False:
        for field in ("hostIPC", "hostPID"):
            if spec.get(field) is True:
                problem = f"leaves {field} and hostUsers: false, which exclude each other: set one to null"
                yield Flaw(field, problem, (field, "hostUsers"))


def _sharing(sysctl: str) -> str | None:
    """Return the field that shares the namespace of a sysctl with the node, or None."""
    first = sysctl.find("/")
    # With a slash as its first separator, dots and slashes stand for each other.
    if first >= 0 and "." not in sysctl[:first]:
        sysctl = sysctl.translate(str.maketrans("./", "/."))
    if sysctl.startswith("net."):
        return "hostNetwork"
    return "hostIPC" if sysctl in _IPC_SYSCTLS or sysctl.startswith("fs.mqueue.") else None


def systems(spec: Object) -> Found:
    """Yield what does not go with the pod's operating system."""
    name, own = mapping(spec.get("os")).get("name"), mapping(spec.get("securityContext"))
    of_pod, of_container = _NOT_ON.get(str(name), ((), ()))
    if name == "windows":
        shared = {field: spec.get(field) or None for field in ("hostIPC", "hostPID")}
        yield from _unfit(name, _SPEC_NOT_ON_WINDOWS, {**spec, **shared}, "")
        own = {**own, "sysctls": own.get("sysctls") or None}
    yield from _unfit(name, of_pod, own, "securityContext")
    for at, container, context in _contexts(spec):
        yield from _unfit(name, of_container, context, at, container.get("name"))
    yield from _host_processes(spec, mapping(own.get("windowsOptions")).get("hostProcess"))


def _unfit(system: object, fields: tuple[str, ...], value: Object, at: str, of: object = "") -> Found:
    """Yield fields that are there and that a pod of an operating system cannot have."""
    for field in fields:
        if value.get(field) is not None:
            where = f" of {shown(of)}" if of else ""
            problem = (
                f"leaves {field}{where} in a pod of {system}, which cannot have it: set it to null, or "
                "select other pods"
            )
            yield Flaw(f"{at and 'context'} {of} {field}", problem, (at or field, "os"))


def _host_processes(spec: Object, of_pod: object) -> Found:
    """Yield containers that run on the host of Windows where others, or the pod, do not."""
    stated = [mapping(own.get("windowsOptions")).get("hostProcess") for _, _, own in _contexts(spec)]
    total = len(list(containers(spec)))
    fields = ("securityContext", "hostNetwork", *CONTAINER_LISTS)
    running = [each for each in stated if (of_pod if each is None else each) is True]
    hosted = len(running) + (total - len(stated) if of_pod is True else 0)
    if of_pod is not None and any(each is not None and each != of_pod for each in stated):
        yield Flaw(
            "hostProcess", "leaves a hostProcess of a container that is not the pod's: set one", fields
        )
    if 0 < hosted < total:
        yield Flaw(
            "all hostProcess", "leaves hostProcess to some containers only: set it for the pod", fields
        )
    if hosted and spec.get("hostNetwork") is not True:
        yield Flaw("hosted", "leaves hostProcess without hostNetwork: true: set both, or none", fields)


def _contexts(spec: Object) -> Iterator[tuple[str, Object, Object]]:
    """Yield containers that have a security context: where it stands, the container, and it."""
    for at, container in containers(spec):
        if isinstance(own := container.get("securityContext"), Mapping):
            yield f"{at}/securityContext", container, own
