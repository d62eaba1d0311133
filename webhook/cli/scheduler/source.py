"""The objects that ``scheduler explain`` reads, from a directory or from a cluster."""

import datetime as dt
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import grouped
from webhook.cli.options.objects import objects_option, placed_objects, reading

_RIGHTS: Final = (
    "list on nodes, pods, namespaces, nodemetrics.slo.koordinator.sh, "
    "noderesourcetopologies.topology.node.k8s.io and nodecpuallocations.colocation-webhook.io"
)

Object = Mapping[str, Any]


class SourceFlags(NamedTuple):
    """Where objects are read from."""

    objects: Path | None
    cluster: ClusterFlags

    def read(self) -> dict[str, list[Object]]:
        """Return the objects by kind; raises ClickException."""
        with reading(_RIGHTS):
            return _from_files(self.objects) if self.objects is not None else self._from_cluster()

    def moment(self, found: Mapping[str, list[Object]], now: Callable[[], dt.datetime]) -> dt.datetime:
        """Return the time that is asked about: with files that of the newest NodeMetric, else now."""
        from webhook.pods.moments import read_moment
        from webhook.protocol import NODEMETRIC_KIND

        measured = [
            moment
            for each in found[NODEMETRIC_KIND]
            if (moment := read_moment((each.get("status") or {}).get("updateTime"))) is not None
        ]
        return max(measured) if self.objects is not None and measured else now()

    def _from_cluster(self) -> dict[str, list[Object]]:
        from webhook.binding.caches import TOPOLOGIES
        from webhook.binding.ledgers import LEDGERS
        from webhook.kube.client import ApiError
        from webhook.kube.paths import NODES, PODS, collection
        from webhook.protocol import LEDGER_KIND, NODEMETRIC_KIND, TOPOLOGY_KIND
        from webhook.scheduling.service import NODEMETRICS

        client = self.cluster.open_or_home()
        paths = {
            "Node": NODES,
            "Pod": PODS,
            "Namespace": collection("v1", "namespaces"),
            NODEMETRIC_KIND: NODEMETRICS,
            TOPOLOGY_KIND: TOPOLOGIES,
            LEDGER_KIND: LEDGERS,
        }
        found: dict[str, list[Object]] = {}
        for kind, path in paths.items():
            try:
                found[kind] = client.call("GET", path).get("items") or []
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                found[kind] = []  # the kind is not defined in this cluster
        return found


source_options: Final = grouped(
    "source",
    SourceFlags,
    objects_option,
    cluster_options,
)
"""Add --objects, --kubeconfig and --in-cluster; pass ``source``."""


def _from_files(folder: Path) -> dict[str, list[Object]]:
    from webhook.cli.options.shapes import ShapeError, check
    from webhook.pods.documents import DocumentError
    from webhook.scheduling.cluster.snapshot import KINDS

    found: dict[str, list[Object]] = {kind: [] for kind in KINDS}
    for place, each in placed_objects(folder):
        if (kind := each.get("kind")) not in KINDS:
            continue
        try:
            check(each)
        except ShapeError as error:
            raise DocumentError(f"{place}: {error}") from None
        found[kind].append(each)
    return found
