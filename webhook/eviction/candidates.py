"""Which pods may be evicted, by which form, and in which order."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.eviction.asking import Ask, requests_by
from webhook.eviction.release import by_requests, of_cpu
from webhook.eviction.thresholds import HIGHEST_PRIORITY, Form
from webhook.kube.ownerreferences import controller_of
from webhook.pods.moments import read_moment
from webhook.pods.pod import FINISHED, annotations, is_mirror, labels, spec
from webhook.pods.priority import raw_class
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.protocol import (
    ANNOTATION_EVICTION_POLICY,
    ANNOTATION_EVICTION_PRIORITY,
    BATCH,
    CPU,
    FREE,
    LABEL_EVICTION_ENABLED,
    LABEL_PRIORITY,
    LABEL_QOS_CLASS,
    MID,
    QoSClass,
)

PENDING_SECONDS: Final = 60.0
"""For how long a pod that was asked to end counts as what will be released."""

_ORDER: Final = (FREE, BATCH, MID)
_MILLI: Final = 1000
_LONG_AGO: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
_BE_FORMS: Final = frozenset({Form.BE_CPU, Form.BE_MEMORY})


class Use(NamedTuple):
    """What a pod uses: milli-cores and bytes."""

    cpu: int
    memory: int


class Candidate(NamedTuple):
    """A pod that may be evicted.

    Attributes:
        uid: of the pod.
        namespace: of it.
        name: of it.
        node: to which it is bound.
        priority_class: free, batch or mid.
        be: whether its label says BE.
        priority: ``spec.priority``, 0 where there is none.
        order: the annotation ``eviction-priority``: what is lower goes first.
        sub_priority: the label ``koordinator.sh/priority``; else ``priority``.
        enabled: the label ``eviction-enabled``; "" where there is none.
        forms: which forms may evict it.
        requests: milli-cores and bytes by resource, as its class requests them.
        workload: uid of its controller, else its own.
        ended_at: when it was asked to end; None: it was not.
    """

    uid: str
    namespace: str
    name: str
    node: str
    priority_class: str
    be: bool
    priority: int
    order: int
    sub_priority: int
    enabled: str
    forms: frozenset[Form]
    requests: Mapping[str, int]
    workload: str
    ended_at: dt.datetime | None = None

    def allows(self, ask: Ask, *, mid: bool) -> bool:
        """Whether an ask may take it; ``mid``: whether pods of the class mid may be taken at all."""
        if ask.form not in self.forms or self.enabled == "false":
            return False
        if self.priority_class == MID and not mid:
            return False
        if ask.priority is None or ask.form in _BE_FORMS:
            return self.be
        return self.enabled == "true" and self.priority <= min(ask.priority, HIGHEST_PRIORITY)

    def releases(self, ask: Ask, use: Use | None) -> int:
        """Return what goes with it of what was asked for; 0 where that is not known."""
        if ask.form is Form.BE_CPU or by_requests(ask.form):
            return self.requests.get(ask.resource, 0)
        if use is None:
            return 0
        return use.cpu if of_cpu(ask.form) else use.memory

    def place(self, ask: Ask, use: Use | None) -> tuple[object, ...]:
        """Return its place in the order: class, priority, eviction-priority, sub-priority, then use."""
        used = 0 if use is None else use.cpu if of_cpu(ask.form) else use.memory
        by_class = _ORDER.index(self.priority_class)
        return (
            by_class,
            self.priority,
            self.order,
            self.sub_priority,
            -used,
            self.namespace,
            self.name,
            self.uid,
        )


def class_of(pod: Mapping[str, Any]) -> str:
    """Return the class of a pod that is no online work: free, batch or mid; "" for online work.

    Online is what is neither labelled BE nor of the class mid, what a label or a priority calls prod, and
    what has a priority above the class mid, or one that cannot be read.
    """
    marks, priority = labels(pod), spec(pod).get("priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int) or priority > HIGHEST_PRIORITY:
        return ""
    be = marks.get(LABEL_QOS_CLASS) == QoSClass.BE
    found = raw_class(marks, priority) or (BATCH if be else "")
    return found if found == MID or (be and found in _ORDER) else ""


def requests_of(pod: Mapping[str, Any], priority_class: str) -> dict[str, int]:
    """Return what a pod requests by the names of its class, in milli-cores and bytes; QuantityError."""
    return {name: _amount(pod, name) for name in requests_by(priority_class)}


def read_candidate(pod: Mapping[str, Any]) -> Candidate | None:
    """Read a v1 Pod; None where it may not be evicted: what cannot be read speaks for the pod.

    Online pods never may, nor static ones, nor those of DaemonSets, which would come back at once.
    """
    metadata, marks = pod.get("metadata") or {}, labels(pod)
    priority_class, owner = class_of(pod), controller_of(metadata)
    finished = (pod.get("status") or {}).get("phase") in FINISHED
    if not priority_class or finished or is_mirror(pod) or owner.get("kind") == "DaemonSet":
        return None
    uid, node, priority = metadata.get("uid"), spec(pod).get("nodeName"), spec(pod).get("priority") or 0
    order = _whole(annotations(pod).get(ANNOTATION_EVICTION_PRIORITY, "0"))
    if not uid or not node or order is None:
        return None
    try:
        requests = requests_of(pod, priority_class)
    except QuantityError:
        return None
    sub_priority = _whole(marks.get(LABEL_PRIORITY, ""))
    return Candidate(
        uid=uid,
        namespace=metadata.get("namespace") or "",
        name=metadata.get("name") or "",
        node=node,
        priority_class=priority_class,
        be=marks.get(LABEL_QOS_CLASS) == QoSClass.BE,
        priority=priority,
        order=order,
        sub_priority=priority if sub_priority is None else sub_priority,
        enabled=marks.get(LABEL_EVICTION_ENABLED, ""),
        forms=_forms(annotations(pod).get(ANNOTATION_EVICTION_POLICY)),
        requests=requests,
        workload=owner.get("uid") or uid,
        ended_at=_ended_at(metadata),
    )


def _amount(pod: Mapping[str, Any], name: str) -> int:
    """Return a request in milli-cores or bytes; only the native CPU is not counted in whole ones."""
    thousandths = pod_request(pod, name)
    return thousandths if name == CPU else -(-thousandths // _MILLI)


def _forms(text: str | None) -> frozenset[Form]:
    """Return what the annotation allows: without it everything; nothing where it cannot be read."""
    if text is None:
        return frozenset(Form)
    try:
        names = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return frozenset()
    if not isinstance(names, list):
        return frozenset()
    return frozenset(form for form in Form if form in names)


def _whole(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None


def _ended_at(metadata: Mapping[str, Any]) -> dt.datetime | None:
    """Return when somebody asked it to end: its deletionTimestamp is when it has to have ended."""
    raw = metadata.get("deletionTimestamp")
    if raw is None:
        return None
    moment = read_moment(raw)
    try:
        grace = dt.timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))
        return moment - grace if moment is not None else _LONG_AGO
    except (ValueError, TypeError, OverflowError):
        return _LONG_AGO
