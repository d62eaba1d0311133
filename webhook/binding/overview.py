"""All ledgers at a glance, for metrics."""

from webhook.binding.grant import counts_of
from webhook.binding.ledger import Counts
from webhook.binding.metrics import BindingMetrics
from webhook.binding.nodetopology import NodeTopologyError
from webhook.binding.state import Cluster


def observe(metrics: BindingMetrics, cluster: Cluster) -> None:
    """Take over into the metrics who holds how many CPUs, and what is left of each node."""
    held: dict[str, int] = {}
    left: list[tuple[str, Counts]] = []
    for (_, name), ledger in list(cluster.ledgers.store.values.items()):
        for entry in ledger.entries.values():
            held[entry.qos] = held.get(entry.qos, 0) + len(entry.cpus)
        try:
            left.append((name, counts_of(cluster.nodes.machine(name), ledger)))
        except NodeTopologyError:
            continue
    metrics.observe(held, left)
