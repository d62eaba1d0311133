"""What the API server demands of containers: ports, mounts, probes, restarts, and variables."""

import re
from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, one_of, present, repeated
from webhook.admission.profiles.demands.resources import huge_pages
from webhook.pods.labels import key_problem
from webhook.pods.pod import mapping, mappings
from webhook.pods.quantities import QuantityError, canonical, text_of
from webhook.pods.text import shown
from webhook.protocol import HUGEPAGES_PREFIX

# What a pod can read of itself: everywhere; in variables, too.
_FIELDS: Final = ("metadata.name", "metadata.namespace", "metadata.uid")
_ADDRESSES: Final = ("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
_FIELDS_OF_VARIABLES: Final = ("spec.nodeName", "spec.serviceAccountName", *_ADDRESSES)
_OLD_NODE_NAME: Final = "spec.host"
_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]", re.DOTALL)
_READABLE: Final = tuple(
    f"{section}.{name}"
    for section in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)
_READABLE_PAGES: Final = (f"limits.{HUGEPAGES_PREFIX}", f"requests.{HUGEPAGES_PREFIX}")
_DIVISORS_OF_CPU: Final = ("1m", "1")
_DIVISORS: Final = ("1", *(f"1{each}" for each in (*"kMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
_MOST_RULES: Final = 20
_MOST_CODES: Final = 255

_one_variable_source = one_of(
    "configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef", needed=True
)
_one_file_source = one_of("fieldRef", "resourceFieldRef", needed=True)
_one_sub_path = one_of("subPath", "subPathExpr")


def container(container: Object) -> Found:
    """Yield ports, mounts, devices, probes and rules of a container that do not go together."""
    for name in repeated(str(port["name"]) for port in present(container.get("ports")) if port.get("name")):
        yield Flaw(f"port {name}", f"names two ports {shown(name)}: name one of them otherwise")
    if mapping(container.get("readinessProbe")).get("terminationGracePeriodSeconds") is not None:
        yield Flaw(
            "readiness", "sets readinessProbe.terminationGracePeriodSeconds, which other probes may have"
        )
    for field in ("livenessProbe", "startupProbe"):
        times = mapping(container.get(field)).get("successThreshold")
        if times not in (None, 0, 1):
            yield Flaw(field, f"sets {field}.successThreshold to {shown(times)}, which must be 1")
    for name in repeated(str(each.get("resourceName")) for each in mappings(container.get("resizePolicy"))):
        yield Flaw(
            f"resize {name}", f"names {shown(name)} twice in resizePolicy: name it once", ("resizePolicy",)
        )
    rules = container.get("restartPolicyRules")
    if rules and not container.get("restartPolicy"):
        yield Flaw(
            "rules", "leaves restartPolicyRules without restartPolicy: set both", ("restartPolicyRules",)
        )
    if isinstance(rules, list) and len(rules) > _MOST_RULES:
        yield Flaw("many rules", f"sets more than {_MOST_RULES} restartPolicyRules", ("restartPolicyRules",))
    yield from _mounts(container)
    yield from huge_pages(container, {})


def _mounts(container: Object) -> Found:
    mounts, devices = (present(container.get(field)) for field in ("volumeMounts", "volumeDevices"))
    privileged = mapping(container.get("securityContext")).get("privileged") is True
    for mount in mounts:
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            yield Flaw(
                f"propagation {mount.get('mountPath')}",
                f"leaves the mount {shown(mount.get('mountPath'))} Bidirectional in a container that is not "
                "privileged: set securityContext.privileged, or another mountPropagation",
            )
    paths = [str(mount.get("mountPath")) for mount in mounts]
    names = [str(device.get("name")) for device in devices]
    places = [str(device.get("devicePath")) for device in devices]
    twice = {*repeated(paths), *repeated(places), *set(paths) & set(places)}
    for path in sorted(twice):
        yield Flaw(f"path {path}", f"leaves two mounts or devices at {shown(path)}: write another path")
    for name in sorted({*repeated(names), *{str(mount.get("name")) for mount in mounts} & set(names)}):
        yield Flaw(f"device {name}", f"leaves the device {shown(name)} mounted twice: mount it once")


def mount(mount: Object) -> Found:
    """Yield two paths below a volume, and mounts that are to be read only with all below and are not."""
    yield from _one_sub_path(mount)
    fits = mount.get("readOnly") is True and mount.get("mountPropagation") in (None, "None")
    if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible") and not fits:
        yield Flaw(
            "recursive",
            "leaves recursiveReadOnly to a mount that is not readOnly, or whose mountPropagation is not "
            "None: set readOnly: true, or set recursiveReadOnly to null",
        )


def restart_rule(rule: Object) -> Found:
    """Yield rules about no exit codes, or about too many."""
    codes = rule.get("exitCodes")
    if codes is None:
        yield Flaw("codes", "leaves a rule without exitCodes: set them")
    values = mapping(codes).get("values")
    if isinstance(values, list) and len(values) > _MOST_CODES:
        yield Flaw("many codes", f"names more than {_MOST_CODES} exit codes")


def resource_reference(reference: Object) -> Found:
    """Yield resources that cannot be read, or not divided so."""
    name, divisor = str(reference.get("resource") or ""), reference.get("divisor")
    pages = name.startswith(_READABLE_PAGES)
    if name and not pages and name not in _READABLE:
        yield Flaw("resource", f"reads the resource {shown(name)}: read one of {', '.join(_READABLE)}")
    try:
        unit = canonical(text_of(divisor)) if divisor is not None else "0"
    except QuantityError:
        return  # the check of types says so
    units = _DIVISORS_OF_CPU if name.endswith(".cpu") else _DIVISORS
    if unit not in ("0", *units) and (pages or name in _READABLE):
        yield Flaw("divisor", f"divides {name} by {shown(divisor)}: divide by one of {', '.join(units)}")


def variable_source(source: Object) -> Found:
    """Yield sources of a variable that exclude each other, or a field that none can read."""
    yield from _one_variable_source(source)
    yield from _field(source.get("fieldRef"), _OLD_NODE_NAME, *_FIELDS_OF_VARIABLES)


def downward_file(file: Object) -> Found:
    """Yield sources of a file that exclude each other, or what no file can read."""
    yield from _one_file_source(file)
    yield from _field(file.get("fieldRef"), "metadata.labels", "metadata.annotations")
    reference = mapping(file.get("resourceFieldRef"))
    if reference and not reference.get("containerName"):
        yield Flaw("container", "leaves resourceFieldRef in a volume without containerName: set it")


def _field(reference: object, *more: str) -> Found:
    """Yield a field of the pod that can be read neither anywhere nor here."""
    path = mapping(reference).get("fieldPath")
    if not isinstance(path, str) or not path or path in (*_FIELDS, *more):
        return
    if part := _SUBSCRIPT.fullmatch(path):
        key = part[2].lower() if part[1] == "annotations" else part[2]
        if problem := key_problem(key):
            yield Flaw("field", f"reads the field {shown(path)}: {problem}")
    else:
        listed = ", ".join(each for each in (*_FIELDS, *more) if each != _OLD_NODE_NAME)
        yield Flaw("field", f"reads the field {shown(path)}: read one of {listed}")
