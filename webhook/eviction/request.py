"""The object by which a node asks: NodeEvictionRequest, written by its agent and read by the controller."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.eviction.asking import Ask, resources_of
from webhook.eviction.candidates import Use
from webhook.eviction.release import MOST, by_requests, of_cpu, release_of
from webhook.eviction.thresholds import Form
from webhook.kube.ownerreferences import owned_by_node, owner_of_kind
from webhook.kube.timestamps import timestamp
from webhook.pods.moments import read_moment
from webhook.pods.text import shown
from webhook.protocol import EVICTION_API_VERSION, EVICTION_KIND

FRESH_SECONDS: Final = 15.0
"""A request that is older, or from further in the future, is not served: clocks differ by less."""

MOST_PODS: Final = 1000
REFUSED: Final = "refused"
_TOLERANCE: Final = 10  # percent, by which a node's own word for its size may differ from the kernel's


class AbsurdError(ValueError):
    """A request that no agent writes; the message names field and value."""


class Noted(NamedTuple):
    """An eviction as the status of a request keeps it.

    Attributes:
        at: when the API server was asked.
        uid: of the pod.
        namespace: of it.
        name: of it.
        workload: whose it is.
        form: why.
        outcome: "" or ``REFUSED``.
    """

    at: dt.datetime
    uid: str
    namespace: str
    name: str
    workload: str
    form: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """What a node asks for.

    Attributes:
        node: its name, and that of the object.
        node_uid: of the Node that owns the object; "" where none does.
        observed_at: when the figures were measured; None where that is no time.
        asks: in their order.
        uses: what pods use, by uid.
        absurd: why it is not to be served, "" where it can be.
        served_at: ``observed_at`` of the figures that were acted upon last; None: none were.
        noted: evictions, newest last.
        version: of the object.
        managers: who writes its spec.
    """

    node: str
    node_uid: str = ""
    observed_at: dt.datetime | None = None
    asks: tuple[Ask, ...] = ()
    uses: Mapping[str, Use] = field(default_factory=dict)
    absurd: str = ""
    served_at: dt.datetime | None = None
    noted: tuple[Noted, ...] = ()
    version: str = ""
    managers: frozenset[str] = frozenset()

    def problem(self, now: dt.datetime) -> str:
        """Return why it is not to be served now, "" where it can be."""
        if self.absurd or not self.asks:
            return self.absurd
        if self.observed_at is None:
            return "spec.observedAt is no time"
        age = (now - self.observed_at).total_seconds()
        if age > FRESH_SECONDS:
            return f"it is {age:.0f} s old: its agent writes it no more, or clocks differ"
        if age < -FRESH_SECONDS:
            return f"it comes {-age:.0f} s from the future: clocks differ"
        return ""


class NodeFacts(NamedTuple):
    """A node as the API server has it.

    Attributes:
        uid: of the object.
        cpus: milli-cores.
        memory: bytes.
        offered: colocation resources that it offers by figures that hold, and native ones.
    """

    uid: str
    cpus: int
    memory: int
    offered: Mapping[str, int]


def contradiction(request: NodeRequest, node: NodeFacts | None) -> str:
    """Return how a request contradicts its node, "" where it does not."""
    if node is None:
        return "there is no such node"
    if request.node_uid != node.uid:
        return f"it belongs to another node: uid {shown(request.node_uid)}, not {shown(node.uid)}"
    for ask in request.asks:
        size = node.cpus if of_cpu(ask.form) else node.memory
        capacity = ask.figures.get("capacity", size)
        if abs(capacity - size) * 100 > size * _TOLERANCE:
            return f"{ask.form}: a capacity of {capacity}, where the node has {size}"
        if by_requests(ask.form) and not node.offered.get(ask.resource):
            return f"{ask.form}: the node does not offer {ask.resource}, or its figure does not hold"
    return ""


def request_body(
    node: str, node_uid: str, observed_at: dt.datetime, asks: Iterable[Ask], uses: Mapping[str, Use]
) -> dict[str, Any]:
    """Return the object that an agent applies; it is deleted together with its node."""
    return {
        "apiVersion": EVICTION_API_VERSION,
        "kind": EVICTION_KIND,
        "metadata": {"name": node, "ownerReferences": owned_by_node(node, node_uid)},
        "spec": {
            "observedAt": timestamp(observed_at),
            "asks": [
                {
                    "form": str(ask.form),
                    "resource": ask.resource,
                    "release": ask.release,
                    **({} if ask.priority is None else {"priority": ask.priority}),
                    "figures": dict(ask.figures),
                    "message": str(ask),
                }
                for ask in asks
            ],
            "pods": [{"uid": uid, "cpu": use.cpu, "memory": use.memory} for uid, use in sorted(uses.items())],
        },
    }


def status_body(version: str, observed_at: dt.datetime, noted: Iterable[Noted]) -> dict[str, Any]:
    """Return the change of the status that says what was evicted; it is refused if the object changed.

    Args:
        version: of the object that was looked at.
        observed_at: of the figures that were acted upon.
        noted: evictions of late.
    """
    evictions = [
        {
            "time": timestamp(each.at),
            "uid": each.uid,
            "namespace": each.namespace,
            "name": each.name,
            "workload": each.workload,
            "form": each.form,
            **({"outcome": each.outcome} if each.outcome else {}),
        }
        for each in noted
    ]
    status = {"observedAt": timestamp(observed_at), "evictions": evictions}
    return {"metadata": {"resourceVersion": version}, "status": status}


def read_request(raw: Mapping[str, Any]) -> NodeRequest:
    """Read a NodeEvictionRequest; nothing of it has to be right."""
    metadata = raw.get("metadata") or {}
    name = str(metadata.get("name") or "")
    owner = owner_of_kind(metadata, "Node")
    given, status = raw.get("spec"), raw.get("status")
    spec: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    asks: tuple[Ask, ...] = ()
    uses: dict[str, Use] = {}
    absurd = ""
    try:
        asks, uses = _asks(spec.get("asks")), _uses(spec.get("pods"))
        if owner and owner.get("name") != name:
            absurd = f"metadata.ownerReferences: {shown(owner.get('name'))} is another node"
    except AbsurdError as error:
        absurd = str(error)
    return NodeRequest(
        node=name,
        node_uid=str(owner.get("uid") or ""),
        observed_at=read_moment(spec.get("observedAt")),
        asks=asks,
        uses=uses,
        absurd=absurd,
        served_at=read_moment(status.get("observedAt") if isinstance(status, Mapping) else None),
        noted=_noted(status),
        version=str(metadata.get("resourceVersion") or ""),
        managers=frozenset(
            str(each.get("manager"))
            for each in metadata.get("managedFields") or ()
            if isinstance(each, Mapping) and "f:spec" in (each.get("fieldsV1") or {})
        ),
    )


def _asks(raw: object) -> tuple[Ask, ...]:
    """Read asks; each has to follow from its figures."""
    found = []
    for i, each in enumerate(_list(raw, "spec.asks")):
        at = f"spec.asks[{i}]"
        if each.get("form") not in list(Form):
            raise AbsurdError(f"{at}.form: {shown(each.get('form'))} is unknown")
        form, resource = Form(each["form"]), each.get("resource")
        if resource not in resources_of(form):
            raise AbsurdError(f"{at}.resource: {shown(resource)} is none of {form}")
        given = each.get("figures")
        if not isinstance(given, Mapping):
            raise AbsurdError(f"{at}.figures: {shown(given)} is no object")
        figures = {str(name): _whole(value, f"{at}.figures.{name}") for name, value in given.items()}
        release = _whole(each.get("release"), f"{at}.release")
        if release <= 0 or release != release_of(form, figures):
            raise AbsurdError(f"{at}.release: {release} does not follow from its figures")
        priority = each.get("priority")
        if priority is not None:
            priority = _whole(priority, f"{at}.priority")
        found.append(Ask(form, resource, release, figures, priority))
    return tuple(sorted(found, key=lambda ask: list(Form).index(ask.form)))


def _uses(raw: object) -> dict[str, Use]:
    found = {}
    for i, each in enumerate(_list(raw, "spec.pods")):
        at = f"spec.pods[{i}]"
        cpu, memory = (_whole(each.get(name), f"{at}.{name}") for name in ("cpu", "memory"))
        if cpu < 0 or memory < 0:
            raise AbsurdError(f"{at}: uses less than nothing")
        found[str(each.get("uid"))] = Use(cpu, memory)
    return found


def _list(raw: object, at: str) -> list[Mapping[str, Any]]:
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > MOST_PODS or not all(isinstance(x, Mapping) for x in raw):
        raise AbsurdError(f"{at}: {shown(raw)} is no list of at most {MOST_PODS} objects")
    return raw


def _whole(raw: object, at: str) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not -MOST < raw < MOST:
        raise AbsurdError(f"{at}: {shown(raw)} is no whole number that can be meant")
    return raw


def _noted(status: object) -> tuple[Noted, ...]:
    """Read the evictions of a status, oldest first; what cannot be read is left out: it is not ours."""
    listed = status.get("evictions") if isinstance(status, Mapping) else None
    found = []
    for each in listed if isinstance(listed, list) else ():
        moment = read_moment(each.get("time")) if isinstance(each, Mapping) else None
        if moment is not None and each.get("uid"):
            texts = (
                str(each.get(name) or "")
                for name in ("uid", "namespace", "name", "workload", "form", "outcome")
            )
            found.append(Noted(moment, *texts))
    return tuple(sorted(found))
