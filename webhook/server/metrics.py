"""Metrics of reviews, in the shapes that dashboards know.

Every label has few values: profile and resource names come from the cluster's objects, nothing
comes from a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook.process.metrics import PREFIX, Totals

if TYPE_CHECKING:
    from webhook.admission.decision import Decision

_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ReviewMetrics:
    """Counts reviews; totals that others count are taken over by ``observe_…``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            f"{PREFIX}_requests_total",
            "Reviews and refused requests, by outcome and HTTP status.",
            ["webhook", "operation", "outcome", "code"],
            registry=registry,
        )
        self._duration = Histogram(
            f"{PREFIX}_request_duration_seconds",
            "From the whole body to the whole answer.",
            ["webhook"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            f"{PREFIX}_requests_in_flight",
            "Reviews whose head has arrived and whose answer has not left.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._applied = Counter(
            f"{PREFIX}_profiles_applied_total",
            "Pods a profile was applied to.",
            ["profile"],
            registry=registry,
        )
        self._translated = Counter(
            f"{PREFIX}_resources_translated_total",
            "Entries of requests and limits translated, by the resource they became.",
            ["resource"],
            registry=registry,
        )
        self._faults = Counter(
            f"{PREFIX}_faults_total",
            "Reviews answered 500: faults of our own.",
            ["webhook"],
            registry=registry,
        )
        self._look_ups = Counter(
            f"{PREFIX}_namespace_lookups_total",
            "Reviews that waited for a namespace that was not watched yet.",
            ["result"],
            registry=registry,
        )
        self._contact_at = Gauge(
            f"{PREFIX}_watch_contact_timestamp_seconds",
            "Time of the last contact with the API server, for each watched kind.",
            ["resource"],
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._watch_failures = Counter(
            f"{PREFIX}_watch_failures_total",
            "Lists and watches that failed.",
            ["resource"],
            registry=registry,
        )
        self._reload_errors = Counter(
            f"{PREFIX}_reload_errors_total",
            "Reloads that failed and left the last good state in place.",
            ["what"],
            registry=registry,
        )
        self._loaded_at = Gauge(
            f"{PREFIX}_view_loaded_timestamp_seconds",
            "When the view in use was loaded.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._stale = Gauge(
            f"{PREFIX}_view_stale",
            "1 while some watched kind has had no contact for longer than --max-view-age, else 0.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._profiles = Gauge(
            f"{PREFIX}_profiles",
            "Profiles in the view in use; those that are not ready are never applied.",
            ["ready"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._expires_at = Gauge(
            f"{PREFIX}_certificate_expiry_timestamp_seconds",
            "When the first certificate of the serving chain (leaf) ends, and the CA behind it (ca).",
            ["certificate"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._certificate_reads = Counter(
            f"{PREFIX}_certificate_reads_total",
            "Reads of the serving certificate from its source.",
            registry=registry,
        )
        self._certificate_writes = Counter(
            f"{PREFIX}_certificate_writes_total",
            "Secrets and webhook configurations written (managed certificates).",
            ["what"],
            registry=registry,
        )
        self._unauthenticated = Counter(
            f"{PREFIX}_clients_refused_total",
            "Connections closed because the client showed no valid certificate (--client-ca).",
            registry=registry,
        )
        # Looking a child up by its labels costs more than counting: the few that exist are kept.
        self._request_children: dict[tuple[str, str, str], Counter] = {}
        self._applied_children: dict[str, Counter] = {}
        self._translated_children: dict[str, Counter] = {}
        self._duration_children = {name: self._duration.labels(name) for name in ("mutate", "validate")}
        for result in ("found", "failed"):
            self._look_ups.labels(result)
        self._totals = Totals()
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
        """Take over the state of a watched kind: last contact (seconds since the epoch), failures so far."""
        self._contact_at.labels(resource).set(contact_at)
        self._totals.set(self._watch_failures, resource, failures)

    def observe_staleness(self, *, stale: bool) -> None:
        """Take over whether the view is too old."""
        self._stale.set(stale)

    def observe_reloads(self, what: str, errors: int) -> None:
        """Take over how many reloads of ``what`` have failed in this process so far."""
        self._totals.set(self._reload_errors, what, errors)

    def observe_view(self, loaded_at: float, ready: int, unready: int) -> None:
        """Take over when the view in use was loaded (seconds since the epoch), and its profiles."""
        self._loaded_at.set(loaded_at)
        self._profiles.labels("true").set(ready)
        self._profiles.labels("false").set(unready)

    def observe_certificate(self, ends: Mapping[str, float], reads: int) -> None:
        """Take over when certificates end (seconds since the epoch), and how often they were looked at."""
        for certificate, end in ends.items():
            self._expires_at.labels(certificate).set(end)
        self._totals.set(self._certificate_reads, "", reads)

    def observe_writes(self, writes: Mapping[str, int]) -> None:
        """Take over how many objects the certificate rotator has written so far."""
        for what, number in writes.items():
            self._totals.set(self._certificate_writes, what, number)

    def unauthenticated(self) -> None:
        """Count a client without a valid certificate."""
        self._unauthenticated.inc()
