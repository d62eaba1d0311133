"""The agent's metrics: ours in base units, and two series that a colocation platform's dashboards ask for."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.counters import CounterError
from webhook.agent.measuring.groupfiles import GroupFiles
from webhook.agent.measuring.peak import Prediction
from webhook.agent.measuring.sampler import Sampler, Totals
from webhook.agent.pods import NodePod
from webhook.process.metrics import NAMESPACE

PREFIX: Final = f"{NAMESPACE}_agent"
_MICROSECONDS: Final = 1e6


def gauges(values: Mapping[str, tuple[str, float]]) -> Iterator[Metric]:
    """Yield metrics of this moment, of texts and values by their names after the prefix."""
    for name, (text, value) in values.items():
        metric = GaugeMetricFamily(f"{PREFIX}_{name}", text)
        metric.add_metric((), float(value))
        yield metric


class Publications:
    """What was published, and what was refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.standby = Gauge(f"{PREFIX}_standby", "Whether koordlet works here instead.", registry=registry)
        self.refused = Counter(
            f"{PREFIX}_refused_writes",
            "Writes of objects that were refused, by why: conflict is a field that somebody else owns.",
            ["kind", "why"],
            registry=registry,
        )
        self._writes = Counter(f"{PREFIX}_writes", "Writes of objects.", ["kind"], registry=registry)
        self._written_at = Gauge(
            f"{PREFIX}_last_write_timestamp_seconds",
            "When an object was written last.",
            ["kind"],
            registry=registry,
        )
        self._foreseen = {
            name: Gauge(f"{PREFIX}_prod_{name}", text, ["resource"], registry=registry)
            for name, text in (
                ("reclaimable", "What prod pods request and will not use, as foreseen: cores, bytes."),
                ("peak", "What prod pods and the system will use at most, as foreseen: cores, bytes."),
            )
        }

    def written(self, kind: str) -> None:
        """Count a write."""
        self._writes.labels(kind).inc()
        self._written_at.labels(kind).set(time.time())

    def foreseen(self, prediction: Prediction | None) -> None:
        """Show what is foreseen."""
        if prediction is not None:
            for name, use in zip(("reclaimable", "peak"), prediction, strict=True):
                self._foreseen[name].labels("cpu").set(use.cpu)
                self._foreseen[name].labels("memory").set(use.memory)


class UsageCollector(Collector):
    """Usage of node, system, classes and pods, put together when somebody scrapes it."""

    def __init__(self, sampler: Sampler, pods: Callable[[], Iterable[NodePod]]) -> None:
        """Take what is asked; register it."""
        self._sampler = sampler
        self._pods = pods

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        with self._sampler.lock:
            scopes, pods = self._sampler.scopes(), self._sampler.pods()
            failures = self._sampler.failures
        yield from _families("", ("scope",), {(scope,): totals for scope, totals in scopes.items()})
        named: dict[tuple[str, ...], Totals] = {
            (pod.namespace, pod.name, pod.qos): pods[pod.uid] for pod in self._pods() if pod.uid in pods
        }
        yield from _families("pod_", ("namespace", "pod", "qos"), named)
        failed = CounterMetricFamily(f"{PREFIX}_failed_reads", "Reads of counters that failed.")
        failed.add_metric((), failures)
        yield failed


def _families(prefix: str, labels: tuple[str, ...], of: Mapping[tuple[str, ...], Totals]) -> Iterator[Metric]:
    cpu = CounterMetricFamily(
        f"{PREFIX}_{prefix}cpu_usage_seconds", "CPU time since the agent began.", labels=labels
    )
    memory = GaugeMetricFamily(
        f"{PREFIX}_{prefix}memory_usage_bytes", "Memory, by default without that of files.", labels=labels
    )
    waiting = CounterMetricFamily(
        f"{PREFIX}_{prefix}pressure_waiting_seconds",
        "Time in which some task waited for a resource.",
        labels=(*labels, "resource"),
    )
    stalled = CounterMetricFamily(
        f"{PREFIX}_{prefix}pressure_stalled_seconds",
        "Time in which all tasks waited for a resource.",
        labels=(*labels, "resource"),
    )
    for values, totals in of.items():
        cpu.add_metric(values, totals.seconds)
        memory.add_metric(values, totals.memory)
        for resource, pressure in totals.pressure.items():
            waiting.add_metric((*values, resource), pressure.some / _MICROSECONDS)
            stalled.add_metric((*values, resource), pressure.full / _MICROSECONDS)
    yield from (cpu, memory, waiting, stalled)


def platform_series(hierarchy: Hierarchy, yarn: str) -> bytes:
    """Return the CPU time of YARN's cgroup and of all pods, in whole nanoseconds, as Prometheus' text.

    Names and labels are those that the platform's dashboards ask for. A group that is not there has no line.

    Args:
        hierarchy: of the node.
        yarn: the group of the NodeManager's containers.
    """
    lines = []
    for name, label, group in (("yarn", "yarn-cgroup", yarn), ("k8s", "k8s-cgroup", hierarchy.kubepods)):
        files = GroupFiles(hierarchy, group)
        try:
            value = files.cpu()
        except (OSError, CounterError):
            continue
        finally:
            files.close()
        metric = f"{name}_cpu_cgroup_use_total"
        lines += [
            f"# HELP {metric} CPU time of the cgroup {group}, in nanoseconds.",
            f"# TYPE {metric} counter",
            f'{metric}{{node="{label}"}} {value}',
        ]
    return "".join(f"{line}\n" for line in lines).encode()
