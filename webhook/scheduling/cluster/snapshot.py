"""A cluster read once, from files or by lists, as the extender would know it."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from webhook.binding.caches import Nodes, opts_in, pod_store
from webhook.binding.ledger import Ledger
from webhook.binding.ledgers import LedgerStore
from webhook.binding.service import BindingSettings
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.store import Store
from webhook.pods.pod import labels, spec
from webhook.pods.resourcespec import BOUND_CLASSES
from webhook.protocol import (
    LABEL_QOS_CLASS,
    LEDGER_KIND,
    NODEMETRIC_KIND,
    TOPOLOGY_KIND,
)
from webhook.scheduling.cluster.caches import Loads
from webhook.scheduling.cluster.state import Cluster
from webhook.scheduling.settings import SchedulingSettings

Object = Mapping[str, Any]

KINDS: Final = ("Node", "Pod", "Namespace", NODEMETRIC_KIND, TOPOLOGY_KIND, LEDGER_KIND)


class Snapshot:
    """What binding watches, as it was at one moment; see ``fits.Watched``."""

    def __init__(
        self, objects: Mapping[str, list[Object]], terms: BindingSettings, now: Callable[[], dt.datetime]
    ) -> None:
        """Take objects by kind."""
        self.now = now
        self.nodes = Nodes(terms.strategy, terms.pool_limit)
        self.pods: Indexer[Object] = pod_store()
        self.store = LedgerStore()
        bound = [each for each in objects["Pod"] if labels(each).get(LABEL_QOS_CLASS) in BOUND_CLASSES]
        _fill(self.nodes.nodes, objects["Node"])
        _fill(self.nodes.topologies, objects[TOPOLOGY_KIND])
        _fill(self.store, objects[LEDGER_KIND])
        _fill(self.pods, bound)

    @property
    def ledgers(self) -> "Snapshot":
        """Return what knows the ledgers."""
        return self

    def known(self, node: str) -> Ledger | None:
        """Return the ledger of a node; None: there is none."""
        return self.store.values.get(("", node))


def cluster_of(
    objects: Mapping[str, list[Object]],
    settings: SchedulingSettings,
    now: Callable[[], dt.datetime],
    terms: BindingSettings | None = None,
) -> Cluster:
    """Return the cluster that objects describe.

    Args:
        objects: by kind; see ``KINDS``.
        settings: in force.
        now: the time that is asked about.
        terms: by which CPU sets are given; None: the defaults.
    """
    terms = terms or BindingSettings()

    def wall() -> float:
        return now().timestamp()

    loads = None
    if settings.load is not None:
        loads = Loads(settings.load, wall)
        _fill(loads.nodes, objects["Node"])
        _fill(loads.metrics, objects[NODEMETRIC_KIND])
        _fill(loads.pods, [each for each in objects["Pod"] if spec(each).get("nodeName")])
    namespaces = {each["metadata"]["name"]: labels(each) for each in objects["Namespace"]}

    def opted_in(namespace: str) -> bool:
        # A namespace that the objects do not describe has none of our labels.
        return opts_in(namespaces.get(namespace, {}))

    sets = Snapshot(objects, terms, now) if settings.cpu_sets else None
    return Cluster(settings, loads, sets, opted_in, terms.default, clock=lambda: 0.0, wall=wall)


def _fill(store: Store[Any], objects: Iterable[Object]) -> None:
    store.replace(store.listed(each) for each in objects)
