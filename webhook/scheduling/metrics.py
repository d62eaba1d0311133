"""The metrics of scheduling."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from webhook.process.metrics import NAMESPACE

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class SchedulingMetrics:
    """Counts calls of schedulers, and the nodes that were kept from pods."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Begin at zero in a registry."""
        self._calls = Counter(
            "scheduler_calls_total",
            "Calls of schedulers, by verb and outcome: answered, refused, unanswered or fault.",
            ["verb", "outcome"],
            namespace=NAMESPACE,
            registry=registry,
        )
        self._seconds = Histogram(
            "scheduler_call_duration_seconds",
            "From the whole body to the whole answer.",
            ["verb"],
            namespace=NAMESPACE,
            buckets=_BUCKETS,
            registry=registry,
        )
        self.filtered = Counter(
            "scheduler_filtered_nodes_total",
            "Nodes that pods were kept from, by reason.",
            ["reason"],
            namespace=NAMESPACE,
            registry=registry,
        )
        self.woken = Counter(
            "scheduler_woken_pods_total",
            "Pods that were annotated, so that their scheduler looks at them again.",
            namespace=NAMESPACE,
            registry=registry,
        )

    def answered(self, verb: str, outcome: str, seconds: float) -> None:
        """Count an answer."""
        self._calls.labels(verb, outcome).inc()
        self._seconds.labels(verb).observe(seconds)
