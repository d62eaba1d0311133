"""``POST /validate-config``: answers reviews of the ConfigMap with the colocation strategy.

Wrong values and entries that select one node are denied. The check may take a second where there are many
entries and nodes, so it is done in a thread; what cannot be known is left to failurePolicy.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Event
from typing import Any, Final

from webhook.admission.decision import Decision, deny
from webhook.admission.response import Answer, errored, failed, respond, unavailable
from webhook.admission.review import Review, ReviewError, parse_review
from webhook.kube.cache.reflector import KindStatus, Reflector, watching
from webhook.kube.cache.store import Store
from webhook.kube.client import Client
from webhook.kube.paths import NODES
from webhook.pods.text import shown
from webhook.process.workqueue import WorkQueue
from webhook.server.decisionlog import DecisionLog
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings
from webhook.slo.check import Report, check_configmap

PATH: Final = "/validate-config"
_WEBHOOK: Final = "validate-config"
_CONFIGMAPS: Final = ("", "v1", "configmaps")

_log = logging.getLogger(__name__)


def label_store() -> Store[Mapping[str, str]]:
    """Return a store of the labels of objects."""
    return Store(lambda _name, raw, _old: dict(raw["metadata"].get("labels") or {}))


@dataclass(eq=False)
class ConfigReviews:
    """Answers the reviews, and watches the labels of nodes for it. No call and no thread before ``watch``.

    Made of the API server, namespace and name of the ConfigMap, the settings, and what counts and logs.
    """

    _api: Client
    _config: tuple[str, str]
    _settings: CurrentSettings
    _metrics: ReviewMetrics
    _decisions: DecisionLog
    nodes: Store[Mapping[str, str]] = field(default_factory=label_store, init=False)
    _queue: WorkQueue[Answer] = field(default_factory=lambda: WorkQueue(1, "config"), init=False)

    def __post_init__(self) -> None:
        """Say what is watched."""
        self._reflector = Reflector(self._api, NODES, self.nodes, metadata_only=True)

    @property
    def kinds(self) -> Mapping[str, KindStatus]:
        """How each watched kind is doing."""
        return {"node-labels": self._reflector.contact}

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Watch until ``stop`` is set; meant to run in a thread."""
        with watching({"node-labels": self._reflector}, stop):
            while not stop.wait(interval):
                pass
        self._queue.close()

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer the review in ``body``; never raises."""
        del seconds
        uid = ""
        try:
            review = parse_review(body)
            uid = review.uid
            new, old = _data(review, "object"), _data(review, "oldObject")
            if review.resource != _CONFIGMAPS or (review.namespace, _name(review)) != self._config:
                return respond(Decision(uid).response())
            return self._queue.submit(self._config, partial(self._checked, review, new, old))
        except ReviewError as error:
            return self.refuse(error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(uid)

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Leave a review to failurePolicy whose time is over."""
        begun.cancel()
        self._metrics.unanswered(_WEBHOOK)
        return errored(HTTPStatus.SERVICE_UNAVAILABLE, f"the ConfigMap was not checked within {seconds:g} s")

    def refuse(self, error: ReviewError) -> Answer:
        """Count and log what is no review, and say so to the client."""
        self._metrics.refused(_WEBHOOK, error.status)
        self._decisions.refused(_WEBHOOK, error)
        return errored(error.status, error.message)

    def _checked(self, review: Review, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Answer:
        started = time.perf_counter()
        try:
            nodes = {name: labels for (_, name), labels in list(self.nodes.values.items())}
            report = check_configmap(new, nodes, old)
            if not report.problems and not self.nodes.synced:
                self._metrics.unanswered(_WEBHOOK)
                _log.error(
                    "review %s at %s is not answered: nodes have not been listed yet", review.uid, PATH
                )
                return unavailable(review.uid, "nodes have not been listed yet")
            decision = _decision(review.uid, report, self._settings)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(review.uid)
        seconds = time.perf_counter() - started
        self._metrics.decided(_WEBHOOK, review.operation, decision, seconds)
        self._decisions.decided(_WEBHOOK, review, decision, seconds)
        return respond(decision.response())

    def _fault(self, uid: str) -> Answer:
        self._metrics.fault(_WEBHOOK)
        _log.exception("fault while answering review %s at %s", uid or "unknown", PATH)
        return failed(uid)


def _decision(uid: str, report: Report, settings: CurrentSettings) -> Decision:
    if not report.problems:
        return Decision(uid, warnings=report.warnings)
    return deny(uid, "; ".join(f"{reason}: {message}" for reason, message in report.problems), settings.value)


def _name(review: Review) -> str:
    """Return the name of the ConfigMap; "" if the API server is to make one."""
    metadata = review.object.get("metadata")
    return review.name or (str(metadata.get("name") or "") if isinstance(metadata, dict) else "")


def _data(review: Review, which: str) -> Any:  # noqa: ANN401 — an object, or None where there is none
    """Return the data of the new or the old object; raises ReviewError."""
    of = review.object if which == "object" else review.old_object
    if not of and which != "object":
        return None
    data = of.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ReviewError(f"request.{which}.data: must be an object, not {shown(data)}", uid=review.uid)
    return data
