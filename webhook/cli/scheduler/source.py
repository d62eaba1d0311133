"""The objects that ``scheduler explain`` reads, from a directory or from a cluster."""

import datetime as dt
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import grouped

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_RIGHTS: Final = (
    "grant list on nodes, pods, namespaces, nodemetrics.slo.koordinator.sh, "
    "noderesourcetopologies.topology.node.k8s.io and nodecpuallocations.colocation-webhook.io"
)

Object = Mapping[str, Any]


class SourceFlags(NamedTuple):
    """Where objects are read from."""

    objects: Path | None
    cluster: ClusterFlags

    def read(self) -> dict[str, list[Object]]:
        """Return the objects by kind; raises ClickException."""
        from webhook.kube.client import ApiError
        from webhook.pods.documents import DocumentError

        try:
            return _from_files(self.objects) if self.objects is not None else self._from_cluster()
        except DocumentError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from None
        except ApiError as error:
            remedy = f": {_RIGHTS}" if error.status == HTTPStatus.FORBIDDEN else ""
            raise click.ClickException(f"{error}{remedy}") from None

    def moment(self, found: Mapping[str, list[Object]], now: Callable[[], dt.datetime]) -> dt.datetime:
        """Return the time that is asked about: with files that of the newest NodeMetric, else now."""
        from webhook.capacity.nodemetric import read_moment
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
    click.option(
        "--objects",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Read the objects (YAML or JSON) of this directory, and no cluster.",
    ),
    cluster_options,
)
"""Add --objects, --kubeconfig and --in-cluster; pass ``source``."""


def _from_files(folder: Path) -> dict[str, list[Object]]:
    from webhook.pods.documents import DocumentError, objects_of, read_documents
    from webhook.scheduling.snapshot import KINDS

    found: dict[str, list[Object]] = {kind: [] for kind in KINDS}
    for file in sorted(folder.rglob("*")):
        if file.suffix not in _SUFFIXES:
            continue
        for document in read_documents(file.read_bytes(), str(file.relative_to(folder))):
            for each in objects_of(document):
                value = each.value
                if not isinstance(value, dict) or value.get("kind") not in found:
                    continue
                metadata = value.get("metadata")
                if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
                    raise DocumentError(f"{each.source}: metadata.name: every object needs a name")
                found[value["kind"]].append(value)
    return found
