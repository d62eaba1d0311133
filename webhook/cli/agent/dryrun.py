"""``agent --dry-run``: prints what an agent would write, on this machine or on a recorded one."""

import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from webhook.cli.agent.place import Place
from webhook.cli.options.access import ClusterFlags
from webhook.cli.options.output import echo_data

if TYPE_CHECKING:
    from webhook.agent.suppression.decision import Options


class Objects(NamedTuple):
    """What a plan is made of: v1 Pods of the node, the v1 Node, the spec of its NodeSLO."""

    pods: list[Mapping[str, Any]]
    node: Mapping[str, Any]
    slo: Mapping[str, Any]


def print_plan(objects: Objects, place: Place, output: str, suppression: "Options | None" = None) -> None:
    """Print what would be written for these objects; nothing is.

    Args:
        objects: of which the plan is made.
        place: where files are.
        output: text, json or yaml.
        suppression: of BE pods; None: they are not suppressed.
    """
    from webhook.agent.dryrun import dry_run
    from webhook.agent.hierarchy import HierarchyError, find_hierarchy
    from webhook.agent.kubelet import read_kubelet
    from webhook.agent.rendering import data_of, lines_of
    from webhook.cli.cpuset import paint
    from webhook.cli.terminal import wrapped
    from webhook.cpuset.discovery import topology_from_sysfs
    from webhook.cpuset.errors import CpuSetError

    try:
        hierarchy = find_hierarchy(place.root, place.kubepods)
        cpus = topology_from_sysfs(place.root / "sys")
    except (HierarchyError, CpuSetError) as error:
        raise click.ClickException(str(error)) from None
    kubelet = read_kubelet(place.kubelet_dir) if place.kubelet_dir is not None else None
    run = dry_run(
        hierarchy,
        cpus,
        objects.pods,
        objects.node,
        kubelet=kubelet,
        slo=objects.slo,
        suppression=suppression,
        root=place.root,
    )
    if output != "text":
        echo_data(data_of(run), output)
        return
    columns = get_terminal_size().columns
    for line in lines_of(run, cpus, width=columns, paint=paint):
        click.echo(wrapped(line, columns))


def objects_of(
    pods: Path | None, cluster: ClusterFlags, node_name: str | None, slo: Mapping[str, Any]
) -> Objects:
    """Read them from a file, or from a cluster where no file is named; ``slo``: where there is no NodeSLO."""
    if pods is not None:
        return _of_file(pods, node_name, slo)
    if node_name is None:
        raise click.UsageError("--dry-run needs pods: give --node-name NAME for a cluster's, or --pods FILE")
    return _of_cluster(cluster, node_name, slo)


def _of_file(path: Path, node_name: str | None, slo: Mapping[str, Any]) -> Objects:
    """Read Pods, and a Node and a NodeSLO where there are some, from a file or standard input."""
    from webhook.kube.files import read_all, read_file
    from webhook.pods import documents as texts

    try:
        stdin = str(path) == "-"
        data = read_all(sys.stdin.buffer) if stdin else read_file(path)
        documents = texts.read_documents(data, "standard input" if stdin else str(path))
    except (OSError, texts.DocumentError) as error:
        raise click.ClickException(f"--pods {path}: {error}") from None
    found = [each.value for document in documents for each in texts.objects_of(document)]
    values = [each for each in found if isinstance(each, Mapping)]
    return _sorted(values, node_name, slo)


def _of_cluster(cluster: ClusterFlags, node_name: str, default: Mapping[str, Any]) -> Objects:
    """Ask an API server for the pods of a node, the node, and its NodeSLO."""
    from webhook.kube.client import ApiError
    from webhook.kube.paths import NODES, PODS, collection, member
    from webhook.protocol import NODESLO_API_VERSION, NODESLO_RESOURCE

    api = cluster.open_or_home()
    try:
        pods = api.get(PODS, fieldSelector=f"spec.nodeName={node_name}").get("items") or []
        node = api.find(member(NODES, node_name))
        slo = api.find(member(collection(NODESLO_API_VERSION, NODESLO_RESOURCE), node_name))
    except ApiError as error:
        raise click.ClickException(str(error)) from None
    if node is None:
        raise click.ClickException(f"--node-name {node_name}: there is no such node")
    return Objects(list(pods), node, default if slo is None else slo.get("spec") or {})


def _sorted(values: list[Mapping[str, Any]], node_name: str | None, slo: Mapping[str, Any]) -> Objects:
    pods: list[Mapping[str, Any]] = []
    node: Mapping[str, Any] = {}
    for each in values:
        name = (each.get("metadata") or {}).get("name")
        if each.get("kind") == "Pod" and name:
            bound = (each.get("spec") or {}).get("nodeName")
            if node_name is None or bound in (None, node_name):
                pods.append(each)
        elif each.get("kind") == "Node" and node_name in (None, name):
            node = each
        elif each.get("kind") == "NodeSLO" and node_name in (None, name):
            slo = each.get("spec") or {}
    return Objects(pods, node or {"metadata": {}}, slo)
