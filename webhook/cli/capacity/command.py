"""``colocation-webhook capacity``: explain one node's figures, show those of all nodes."""

import datetime as dt
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from webhook.capacity.inventory import Inventory, ObjectError, inventory_of
from webhook.capacity.strategy import StrategyError
from webhook.cli.capacity.text import explanation_text, table_text
from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.clock import Clock, pass_clock
from webhook.cli.options.declarations import config_option, grouped
from webhook.cli.options.objects import objects_in, objects_option, reading
from webhook.cli.options.output import echo_data, output_option
from webhook.cli.terminal import color_option, coloured, first_of
from webhook.kube import paths
from webhook.kube.client import ApiError
from webhook.protocol import (
    NODEMETRIC_API_VERSION,
    NODEMETRIC_KIND,
    NODEMETRIC_RESOURCE,
    SLO_CONFIGMAP,
    TOPOLOGY_API_VERSION,
    TOPOLOGY_KIND,
    TOPOLOGY_RESOURCE,
)

if TYPE_CHECKING:
    from webhook.kube.client import Client

_NODES_NAMED: Final = 5
_RIGHTS: Final = (
    "get and list on nodes, pods, nodemetrics.slo.koordinator.sh, "
    "noderesourcetopologies.topology.node.k8s.io and that ConfigMap"
)


class _Source(NamedTuple):
    """Where objects are read from, and which time is asked about."""

    objects: Path | None
    cluster: ClusterFlags
    config: tuple[str, str]
    at: str | None

    def inventory(self, node: str | None = None) -> Inventory:
        """Return what was read: of one node only, if it is named and a cluster is read."""
        try:
            with reading(_RIGHTS):
                if self.objects is not None:
                    return inventory_of(objects_in(self.objects))
                return inventory_of(_from_cluster(self.cluster.open_or_home(), self.config, node))
        except (StrategyError, ObjectError) as error:
            raise click.ClickException(str(error)) from None

    def nodes_to_name(self, found: Inventory) -> str:
        """Say which nodes there are; of a cluster only the one that was named has been read."""
        if self.objects is None:
            return "'kubectl get nodes' lists them"
        if not found.nodes:
            return f"{self.objects} has none: add what 'kubectl get nodes -o yaml' prints"
        return f"the nodes are {first_of(sorted(found.nodes), _NODES_NAMED)}"

    def moment(self, found: Inventory, clock: Clock) -> dt.datetime:
        """Return the time that is asked about."""
        if self.at is None:
            measured = [metric.update_time for metric in found.metrics.values() if metric.update_time]
            return max(measured) if self.objects is not None and measured else clock.now()
        try:
            moment = dt.datetime.fromisoformat(self.at)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            example = "write for example 2026-01-31T08:00:00Z"
            raise click.UsageError(f"--at: {self.at!r} is no time with a zone: {example}")
        return moment


_source_options: Final = grouped(
    "source",
    _Source,
    objects_option,
    cluster_options,
    config_option,
    click.option(
        "--at",
        metavar="TIME",
        help="For which time, as 2026-01-31T08:00:00Z [default: now; with --objects that of the newest "
        "NodeMetric].",
    ),
)
"""Add --objects, --kubeconfig, --in-cluster, --config and --at; pass ``source``."""


@click.group(name="capacity", context_settings={"help_option_names": ["-h", "--help"]})
def capacity() -> None:
    """Explain what nodes offer to batch work. Nothing is written to the cluster."""


@capacity.command(short_help="Print the sum behind a node's figures, pod by pod.")
@click.argument("node")
@_source_options
@output_option
@color_option
@pass_clock
def explain(clock: Clock, *, node: str, source: _Source, output: str, color: str) -> None:
    """Print the sum behind a node's batch and mid resources, pod by pod.

    Reads Node, NodeMetric, NodeResourceTopology, Pods and the ConfigMap slo-controller-config
    from --objects, else from the cluster; without --kubeconfig and --in-cluster, from that of KUBECONFIG or
    ~/.kube/config. Says what the figures would be if they were published now.

    Exit status: 1 if there is no such node or the input cannot be read, else 0.

    \b
    Examples:
      colocation-webhook capacity explain node-1
      colocation-webhook capacity explain node-1 --objects examples/capacity -o json
    """  # noqa: D301 — see main
    found = source.inventory(node)
    if node not in found.nodes:
        raise click.ClickException(f"there is no node {node!r}: {source.nodes_to_name(found)}")
    explanation = found.explain(node, source.moment(found, clock))
    value = explanation.to_json() | {"findings": list(found.configuration.findings)}
    if output == "text":
        lines = explanation_text(explanation, found.configuration.findings)
        click.echo("\n".join(lines), color=coloured(color))
    else:
        echo_data(value, output)


@capacity.command(short_help="List what each node offers to batch work.")
@_source_options
@output_option
@color_option
@pass_clock
def show(clock: Clock, *, source: _Source, output: str, color: str) -> None:
    """List what each node offers, what is requested and used of it, and why it is held.

    Exit status: 1 if the input cannot be read, else 0.

    \b
    Examples:
      colocation-webhook capacity show
      colocation-webhook capacity show --objects examples/capacity -o json | jq '.nodes[].state'
    """  # noqa: D301 — see main
    found = source.inventory()
    now = source.moment(found, clock)
    explanations = [found.explain(name, now) for name in sorted(found.nodes)]
    if output == "text":
        click.echo("\n".join(table_text(explanations)), color=coloured(color))
    else:
        echo_data({"nodes": [each.to_json() for each in explanations]}, output)


def _from_cluster(api: "Client", config: tuple[str, str], node: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a cluster, of one node only if it is named."""
    metrics = paths.collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
    topologies = paths.collection(TOPOLOGY_API_VERSION, TOPOLOGY_RESOURCE)
    if node:
        named = ((paths.NODES, "Node"), (metrics, NODEMETRIC_KIND), (topologies, TOPOLOGY_KIND))
        for path, kind in named:
            if found := api.find(paths.member(path, node)):
                yield {**found, "kind": kind}
    else:
        yield from _items(api, paths.NODES, "Node")
        for path, kind in ((metrics, NODEMETRIC_KIND), (topologies, TOPOLOGY_KIND)):
            try:
                yield from _items(api, path, kind)
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:  # the definition is not installed
                    raise
    bound = f"spec.nodeName={node}" if node else "spec.nodeName!="
    yield from _items(api, paths.PODS, "Pod", fieldSelector=bound)
    namespace, name = config
    settings = api.find(paths.member(paths.collection("v1", "configmaps", namespace), name))
    if settings:
        yield {**settings, "kind": "ConfigMap", "metadata": {"name": SLO_CONFIGMAP}}


def _items(api: "Client", path: str, kind: str, **query: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a collection, with their kind, which a list leaves out."""
    for item in api.call("GET", path, query=query).get("items") or ():
        yield {**item, "kind": kind}
