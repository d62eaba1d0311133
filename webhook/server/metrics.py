"""What is counted, in the shapes that dashboards know.

Every label has few values: profile and resource names come from the cluster's objects, nothing
comes from a request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from webhook.admission import Decision

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_PREFIX = "colocation_webhook"


prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines, and nobody asks for them


class Metrics:
    """The service's books. What others keep count of is taken over by ``observe_…``."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            f"{_PREFIX}_requests_total",
            "Reviews and refused requests, by outcome and HTTP status.",
            ["webhook", "operation", "outcome", "code"],
            registry=registry,
        )
        self._duration = Histogram(
            f"{_PREFIX}_request_duration_seconds",
            "From the whole body to the whole answer.",
            ["webhook"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            f"{_PREFIX}_requests_in_flight",
            "Reviews whose head has arrived and whose answer has not left.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._applied = Counter(
            f"{_PREFIX}_profiles_applied_total",
            "Pods a profile was applied to.",
            ["profile"],
            registry=registry,
        )
        self._translated = Counter(
            f"{_PREFIX}_resources_translated_total",
            "Entries of requests and limits translated, by the resource they became.",
            ["resource"],
            registry=registry,
        )
        self._faults = Counter(
            f"{_PREFIX}_faults_total",
            "Reviews answered 500: faults of our own.",
            ["webhook"],
            registry=registry,
        )
        self._look_ups = Counter(
            f"{_PREFIX}_namespace_lookups_total",
            "Reviews that waited for a namespace that was not watched yet.",
            ["result"],
            registry=registry,
        )
        self._contact_at = Gauge(
            f"{_PREFIX}_watch_contact_timestamp_seconds",
            "When the API server was last heard of, for each watched kind.",
            ["resource"],
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._watch_failures = Counter(
            f"{_PREFIX}_watch_failures_total",
            "Lists and watches that failed.",
            ["resource"],
            registry=registry,
        )
        self._reload_errors = Counter(
            f"{_PREFIX}_reload_errors_total",
            "Reloads that failed and left the last good state in place.",
            ["what"],
            registry=registry,
        )
        self._loaded_at = Gauge(
            f"{_PREFIX}_view_loaded_timestamp_seconds",
            "When the view in use was loaded.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._stale = Gauge(
            f"{_PREFIX}_view_stale",
            "1 while some watched kind has not been heard of for --max-view-age, else 0.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._profiles = Gauge(
            f"{_PREFIX}_profiles",
            "Profiles in the view in use; those that are not ready are never applied.",
            ["ready"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._expires_at = Gauge(
            f"{_PREFIX}_certificate_expiry_timestamp_seconds",
            "When the first certificate of the serving chain (leaf) ends, and the CA behind it (ca).",
            ["certificate"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._certificate_reads = Counter(
            f"{_PREFIX}_certificate_reads_total",
            "How often the serving certificate was looked at where it comes from.",
            registry=registry,
        )
        self._certificate_writes = Counter(
            f"{_PREFIX}_certificate_writes_total",
            "Secrets and webhook configurations that were put right (managed certificates).",
            ["what"],
            registry=registry,
        )
        self._strangers = Counter(
            f"{_PREFIX}_clients_refused_total",
            "Connections turned away for the want of a good client certificate (--client-ca).",
            registry=registry,
        )
        if not multiprocess():
            ProcessCollector(registry=registry)
        # Looking a child up by its labels costs more than counting: the few that exist are kept.
        self._request_children: dict[tuple[str, str, str], Counter] = {}
        self._applied_children: dict[str, Counter] = {}
        self._translated_children: dict[str, Counter] = {}
        self._duration_children = {name: self._duration.labels(name) for name in ("mutate", "validate")}
        for result in ("found", "failed"):
            self._look_ups.labels(result)
        self._counted: dict[str, int] = {}
        for what in ("objects", "certificate"):
            self._reload_errors.labels(what)
        for webhook in self._duration_children:
            self._faults.labels(webhook)

    def decided(self, webhook: str, operation: str, decision: Decision, seconds: float) -> None:
        """Count a review that was decided on."""
        key = (webhook, operation, decision.outcome)
        child = self._request_children.get(key)
        if child is None:
            known = operation if operation in _OPERATIONS else "other"
            child = self._requests.labels(webhook, known, decision.outcome, "200")
            if known == operation:
                self._request_children[key] = child
        child.inc()
        self._duration_children[webhook].observe(seconds)
        if decision.audited:
            return  # nothing was applied or translated
        for profile in () if decision.reinvoked else decision.applied:
            child = self._applied_children.get(profile)
            if child is None:
                child = self._applied_children[profile] = self._applied.labels(profile)
            child.inc()
        for resource, entries in decision.translated.items():
            child = self._translated_children.get(resource)
            if child is None:
                child = self._translated_children[resource] = self._translated.labels(resource)
            child.inc(entries)

    def refused(self, webhook: str, status: int) -> None:
        """Count a request that was answered 4xx."""
        self._requests.labels(webhook, "unknown", "refused", str(status)).inc()

    def fault(self, webhook: str) -> None:
        """Count a fault of our own."""
        self._requests.labels(webhook, "unknown", "fault", "500").inc()
        self._faults.labels(webhook).inc()

    def unanswered(self, webhook: str) -> None:
        """Count a review that was left to failurePolicy."""
        self._requests.labels(webhook, "unknown", "unanswered", "503").inc()

    def looked_up(self, *, found: bool) -> None:
        """Count a review that waited for its namespace."""
        self._look_ups.labels("found" if found else "failed").inc()

    def observe_watch(self, resource: str, contact_at: float, failures: int) -> None:
        """Take over how a watched kind is doing: last contact (seconds since the epoch), failures so far."""
        self._contact_at.labels(resource).set(contact_at)
        self._count_up(self._watch_failures.labels(resource), resource, failures)

    def observe_staleness(self, *, stale: bool) -> None:
        """Take over whether the view is too old."""
        self._stale.set(stale)

    def observe_reloads(self, what: str, errors: int) -> None:
        """Take over how many reloads of ``what`` have failed in this process so far."""
        self._count_up(self._reload_errors.labels(what), what, errors)

    def observe_view(self, loaded_at: float, ready: int, unready: int) -> None:
        """Take over when the view in use was loaded (seconds since the epoch), and its profiles."""
        self._loaded_at.set(loaded_at)
        self._profiles.labels("true").set(ready)
        self._profiles.labels("false").set(unready)

    def observe_certificate(self, ends: Mapping[str, float], reads: int) -> None:
        """Take over when certificates end (seconds since the epoch), and how often they were looked at."""
        for certificate, end in ends.items():
            self._expires_at.labels(certificate).set(end)
        self._count_up(self._certificate_reads, "certificate reads", reads)

    def observe_writes(self, writes: Mapping[str, int]) -> None:
        """Take over what a keeper has written so far."""
        for what, number in writes.items():
            self._count_up(self._certificate_writes.labels(what), f"written {what}", number)

    def turned_away(self) -> None:
        """Count a client without a good certificate."""
        self._strangers.inc()

    def _count_up(self, counter: Counter, what: str, total: int) -> None:
        """Bring a counter to what another one has counted."""
        new = total - self._counted.get(what, 0)
        if new > 0:
            counter.inc(new)
        self._counted[what] = total

    def render(self) -> bytes:
        """All processes' books in Prometheus' text format."""
        registry = self.registry
        if multiprocess():
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)


def multiprocess() -> bool:
    """Whether several processes keep their books in one folder (see ``processes``)."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def process_ended(pid: int) -> None:
    """Take a process that has ended out of the gauges that speak of live ones."""
    if multiprocess():
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
