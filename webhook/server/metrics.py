"""Metrics of reviews, in the shapes that dashboards know.

Every label has few values: profile and resource names come from the cluster's objects, nothing
comes from a request.
"""

from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook.admission.decision import Decision
from webhook.process.metrics import NAMESPACE, Level, Totals

_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ReviewMetrics:
    """Counts reviews; what others count and know is set by the service, from time to time.

    Attributes:
        registry: of all metrics of the process.
        totals: brings those that others count up to date.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.totals = Totals()
        counter = partial(Counter, namespace=NAMESPACE, registry=registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=registry)
        newest = partial(gauge, multiprocess_mode="livemostrecent")
        self.in_flight = Level(
            gauge(
                "requests_in_flight",
                "Reviews whose head has arrived and whose answer has not left.",
                multiprocess_mode="livesum",
            )
        )
        self.look_ups = counter(
            "namespace_lookups_total",
            "Reviews that waited for a namespace that was not watched yet.",
            ["result"],
        )
        self.contact_at = gauge(
            "watch_contact_timestamp_seconds",
            "Time of the last contact with the API server, for each watched kind.",
            ["resource"],
            multiprocess_mode="livemin",
        )
        self.watch_failures = counter("watch_failures_total", "Lists and watches that failed.", ["resource"])
        self.reload_errors = counter(
            "reload_errors_total", "Reloads that failed and left the last good state in place.", ["what"]
        )
        self.loaded_at = newest("view_loaded_timestamp_seconds", "When the view in use was loaded.")
        self.stale = gauge(
            "view_stale",
            "1 while some watched kind has had no contact for longer than --max-view-age, else 0.",
            multiprocess_mode="livemax",
        )
        self.profiles = newest(
            "profiles", "Profiles in the view in use; those that are not ready are never applied.", ["ready"]
        )
        self.expires_at = newest(
            "certificate_expiry_timestamp_seconds",
            "When the first certificate of the serving chain (leaf) ends, and the CA behind it (ca).",
            ["certificate"],
        )
        self.certificate_reads = counter(
            "certificate_reads_total", "Reads of the serving certificate from its source."
        )
        self.certificate_writes = counter(
            "certificate_writes_total",
            "Secrets, webhook configurations, and the scheduler's ConfigMap and Deployment written "
            "(managed certificates).",
            ["what"],
        )
        self.clients_refused = counter(
            "clients_refused_total",
            "Connections closed because the client showed no valid certificate (--client-ca).",
        )
        self.relabelled = counter(
            "labels_changed_total",
            "Pods of controllers on which a profile changed a label that the request brought.",
            ["profile"],
        )
        self.breakers = counter(
            "breakers_total",
            "Controllers whose pods' labels a profile leaves from then on: pods were created without end.",
            ["profile"],
        )
        self.kept_labels = gauge(
            "labels_kept",
            "Controllers whose pods' labels a profile leaves as they are at the moment.",
            multiprocess_mode="livemax",
        )
        requests = counter(
            "requests_total",
            "Reviews and refused requests, by outcome and HTTP status.",
            ["webhook", "operation", "outcome", "code"],
        )
        duration = Histogram(
            "request_duration_seconds",
            "From the whole body to the whole answer.",
            ["webhook"],
            namespace=NAMESPACE,
            buckets=_BUCKETS,
            registry=registry,
        )
        applied = counter("profiles_applied_total", "Pods a profile was applied to.", ["profile"])
        translated = counter(
            "resources_translated_total",
            "Entries of requests and limits translated, by the resource they became.",
            ["resource"],
        )
        self._faults = counter("faults_total", "Reviews answered 500: faults of our own.", ["webhook"])
        # Looking a child up by its labels costs more than counting: the few that exist are kept.
        self._requests, self._duration = cache(requests.labels), cache(duration.labels)
        self._applied, self._translated = cache(applied.labels), cache(translated.labels)
        for webhook in ("mutate", "validate"):
            duration.labels(webhook)
            self._faults.labels(webhook)
        for result in ("found", "failed"):
            self.look_ups.labels(result)
        for what in ("objects", "certificate"):
            self.reload_errors.labels(what)

    def decided(self, webhook: str, operation: str, decision: Decision, seconds: float) -> None:
        """Count a review that was decided on."""
        known = operation if operation in _OPERATIONS else "other"
        self._requests(webhook, known, decision.outcome, "200").inc()
        self._duration(webhook).observe(seconds)
        if decision.audited:
            return  # nothing was applied or translated
        for profile in () if decision.reinvoked else decision.applied:
            self._applied(profile).inc()
        for resource, entries in decision.translated.items():
            self._translated(resource).inc(entries)

    def refused(self, webhook: str, status: int) -> None:
        """Count a request that was answered 4xx."""
        self._requests(webhook, "unknown", "refused", str(status)).inc()

    def fault(self, webhook: str) -> None:
        """Count a fault of our own."""
        self._requests(webhook, "unknown", "fault", "500").inc()
        self._faults.labels(webhook).inc()

    def unanswered(self, webhook: str) -> None:
        """Count a review that was left to failurePolicy."""
        self._requests(webhook, "unknown", "unanswered", "503").inc()

    def looked_up(self, *, found: bool) -> None:
        """Count a review that waited for its namespace."""
        self.look_ups.labels("found" if found else "failed").inc()
