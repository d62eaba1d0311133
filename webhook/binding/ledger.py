"""The ledger of one node: who holds which CPUs, as an object in the API server.

``NodeCPUAllocation``, cluster-scoped, of the node's name and owned by the Node. An entry is a line
of text, ``shop/cart LSE 1-2,17-18 FullPCPUs,required 2026-01-31T07:00:00Z UID``: a binding
waits for the write, and the API server checks, compares and encodes each field of an object again.
Reading is strict, entry by entry: what cannot be read is named and left out, and the next write
rebuilds the ledger from the node's pods. The status is a summary for people.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.kube.conditions import read_conditions
from webhook.kube.ownerreferences import owned_by_node, owner_of_kind
from webhook.kube.timestamps import timestamp
from webhook.pods.text import shown
from webhook.protocol import LEDGER_API_VERSION, LEDGER_KIND, QoSClass

READY: Final = "Ready"
_REMEMBERED: Final = 16_384
_LONGEST_HOLDERS: Final = 2000
_SUMMARY: Final = ("cpus", "allocated", "free", "wholeCoresFree", "pods")
_NO_QOS: Final = "-"
_REQUIRED: Final = "required"
_FORM: Final = "NAMESPACE/NAME QOS CPUS POLICY[,required][,EXCLUSIVE] TIME UID"
_RANGE: Final = "[0-9]+(?:-[0-9]+)?"
_EXCLUSIVE: Final = "|".join(each for each in Exclusive if each is not Exclusive.NONE)
_TWO: Final = "[0-9]{2}"
LINE: Final = re.compile(
    "([a-z0-9][a-z0-9-]*)/([a-z0-9][a-z0-9.-]*) "
    f"({'|'.join(QoSClass)}|{_NO_QOS}) "
    f"({_RANGE}(?:,{_RANGE})*) "
    f"({'|'.join(BindPolicy)})(,{_REQUIRED})?(?:,({_EXCLUSIVE}))? "
    f"([0-9]{{4}}-{_TWO}-{_TWO}T{_TWO}:{_TWO}:{_TWO}Z) "
    "([!-~]+)"
)
"""An entry; the definition has the same pattern, for those who edit a ledger by hand."""

# A ledger is written whole, and of its sets only one is new.
_listed = lru_cache(maxsize=_REMEMBERED)(format_cpulist)


class Entry(NamedTuple):
    """CPUs that a pod holds.

    Attributes:
        uid: of the pod; names the entry.
        qos: the pod's label, "" where it has none.
        cpus: ids.
        allocated_at: when they were given to it, or to its last binding, to the second.
    """

    uid: str
    namespace: str
    name: str
    qos: str
    cpus: frozenset[int]
    policy: BindPolicy
    required: bool
    exclusive: Exclusive
    allocated_at: dt.datetime

    @property
    def pod(self) -> str:
        """The pod as messages name it."""
        return f"{self.namespace}/{self.name}"


class Counts(NamedTuple):
    """What a ledger leaves of a node."""

    cpus: int
    allocated: int
    free: int
    whole_cores_free: int
    pods: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """A node's ledger; changed by making another one.

    Attributes:
        node: its name.
        node_uid: of the Node that owns it: for another one of that name it is void.
        entries: by the pods' uid.
        version: the object's resource version; None: it has not been written yet.
        uid: of the object; "" before it is written.
        conditions: of type ``metav1.Condition``.
        problems: what could not be read.
        counts: the summary that is stored; None: there is none.
    """

    node: str
    node_uid: str
    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    version: str | None = None
    uid: str = ""
    conditions: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    counts: Counts | None = field(default=None, compare=False)

    def with_entries(self, *entries: Entry) -> "Ledger":
        """Return the ledger with these entries added, or put in place of others of the same pods."""
        return replace(
            self, entries=MappingProxyType({**self.entries, **{entry.uid: entry for entry in entries}})
        )

    def without(self, uids: Iterable[str]) -> "Ledger":
        """Return the ledger without these pods."""
        gone = set(uids)
        if gone.isdisjoint(self.entries):
            return self
        left = {uid: entry for uid, entry in self.entries.items() if uid not in gone}
        return replace(self, entries=MappingProxyType(left))


def read_ledger(raw: Mapping[str, Any]) -> Ledger:
    """Read the object; entries that cannot be read are named in ``problems``."""
    metadata = raw.get("metadata") or {}
    spec = raw.get("spec")
    listed = (spec if isinstance(spec, dict) else {}).get("allocations")
    entries: dict[str, Entry] = {}
    problems = []
    for index, value in enumerate(listed if isinstance(listed, list) else ()):
        try:
            entry = _entry(value if isinstance(value, str) else json.dumps(value))
        except ValueError as error:
            problems.append(f"spec.allocations[{index}]: {error}")
            continue
        if entries.setdefault(entry.uid, entry) is not entry:
            problems.append(f"spec.allocations[{index}]: {shown(value)}: the pod has another line")
    if listed is not None and not isinstance(listed, list):
        problems.append(f"spec.allocations: must be a list, not {shown(listed)}")
    return Ledger(
        node=metadata.get("name", ""),
        node_uid=owner_of_kind(metadata, "Node").get("uid", ""),
        entries=MappingProxyType(entries),
        version=metadata.get("resourceVersion"),
        uid=metadata.get("uid", ""),
        conditions=tuple(read_conditions(raw.get("status"))),
        problems=tuple(problems),
        counts=_counts(raw.get("status")),
    )


def _counts(status: object) -> Counts | None:
    """Read the summary; None where a number is missing."""
    stored = [status.get(name) if isinstance(status, dict) else None for name in _SUMMARY]
    numbers = [number for number in stored if isinstance(number, int)]
    return Counts(*numbers) if len(numbers) == len(_SUMMARY) else None


def write_ledger(ledger: Ledger, counts: Counts | None) -> dict[str, Any]:
    """Return the object that a ledger is written as.

    Args:
        ledger: entries are sorted by namespace, name and uid.
        counts: None where the node's topology is not known: no summary then.
    """
    metadata: dict[str, Any] = {
        "name": ledger.node,
        "ownerReferences": owned_by_node(ledger.node, ledger.node_uid),
    }
    if ledger.version is not None:
        metadata |= {"resourceVersion": ledger.version, "uid": ledger.uid}
    ordered = sorted(ledger.entries.values(), key=lambda entry: (entry.namespace, entry.name, entry.uid))
    status: dict[str, Any] = {"conditions": list(ledger.conditions)}
    if counts is not None:
        status |= {**dict(zip(_SUMMARY, counts, strict=True)), "holders": _holders(ledger)}
    return {
        "apiVersion": LEDGER_API_VERSION,
        "kind": LEDGER_KIND,
        "metadata": metadata,
        "spec": {"allocations": [_line(entry) for entry in ordered]},
        "status": status,
    }


def _holders(ledger: Ledger) -> str:
    """Who holds which CPUs, on one line, for ``kubectl get -o wide``."""
    ordered = sorted(ledger.entries.values(), key=lambda entry: min(entry.cpus, default=0))
    text = ", ".join(f"{entry.pod}: {_listed(entry.cpus).replace(',', '+')}" for entry in ordered)
    return text if len(text) <= _LONGEST_HOLDERS else f"{text[: _LONGEST_HOLDERS - 1]}…"


@lru_cache(maxsize=_REMEMBERED)
def _entry(line: str) -> Entry:
    """Read a line; raises ValueError."""
    found = LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"{shown(line)} is no line {_FORM}")
    namespace, name, qos, cpulist, policy, required, exclusive, moment, uid = found.groups()
    try:
        return Entry(
            uid=uid,
            namespace=namespace,
            name=name,
            qos="" if qos == _NO_QOS else qos,
            cpus=parse_cpulist(cpulist, field="cpuset"),
            policy=BindPolicy(policy),
            required=required is not None,
            exclusive=Exclusive(exclusive or Exclusive.NONE),
            allocated_at=dt.datetime.fromisoformat(moment),
        )
    except ValueError as error:
        raise ValueError(f"{shown(line)}: {error}") from None


@lru_cache(maxsize=_REMEMBERED)
def _line(entry: Entry) -> str:
    """Write a line; see ``_entry``."""
    policy: list[str] = [entry.policy]
    if entry.required:
        policy.append(_REQUIRED)
    if entry.exclusive != Exclusive.NONE:
        policy.append(entry.exclusive)
    held = f"{entry.pod} {entry.qos or _NO_QOS} {_listed(entry.cpus)} {','.join(policy)}"
    return f"{held} {timestamp(entry.allocated_at)} {entry.uid}"
