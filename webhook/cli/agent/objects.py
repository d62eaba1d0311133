"""Of which objects a plan is made: from a cluster, or from a file."""

import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from webhook.cli.agent.nodeslo import SLOFlags
from webhook.cli.options.access import ClusterFlags
from webhook.cli.options.declarations import Decorator
from webhook.cli.terminal import first_of
from webhook.pods.pod import mapping

if TYPE_CHECKING:
    from webhook.kube.client import Client

_NAMED: Final = 5

node_name_option: Final[Decorator] = click.option(
    "--node-name", envvar="NODE_NAME", metavar="NAME", show_envvar=True, help="The node of this machine."
)


def pods_option(only: str = "") -> Decorator:
    """Return an option for a file of pods; ``only``: with which option it goes, with a colon."""
    return click.option(
        "--pods",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        help=f"{only}Pods, and a Node, a NodeSLO and a ConfigMap, of this file instead of a cluster.",
    )


class Objects(NamedTuple):
    """What a plan is made of: v1 Pods of the node, the v1 Node, the spec of its NodeSLO."""

    pods: list[Mapping[str, Any]]
    node: Mapping[str, Any]
    slo: Mapping[str, Any]


def objects_of(pods: Path | None, cluster: ClusterFlags, node_name: str | None, slo: SLOFlags) -> Objects:
    """Read them from a file, or from a cluster where no file is named; ``slo``: where there is no NodeSLO."""
    if pods is not None:
        return _of_file(pods, node_name, slo)
    if node_name is None:
        raise click.UsageError(
            "nothing says which pods: give --node-name NAME for those of a cluster's node, or --pods FILE"
        )
    return _of_cluster(cluster, node_name, slo)


def _of_file(path: Path, node_name: str | None, slo: SLOFlags) -> Objects:
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


def _of_cluster(cluster: ClusterFlags, node_name: str, flags: SLOFlags) -> Objects:
    """Ask an API server for the pods of a node, the node, and its NodeSLO."""
    from webhook.kube.client import ApiError
    from webhook.kube.paths import NODES, PODS, collection
    from webhook.protocol import NODESLO_API_VERSION, NODESLO_RESOURCE

    api = cluster.open_or_home()
    try:
        pods = api.get(PODS, fieldSelector=f"spec.nodeName={node_name}").get("items") or []
        node = _listed(api, NODES, node_name)
        slo = _listed(api, collection(NODESLO_API_VERSION, NODESLO_RESOURCE), node_name)
        configmap = None
        if slo is None and flags.config is not None:
            configmap = _listed(api, collection("v1", "configmaps", flags.config[0]), flags.config[1])
    except ApiError as error:
        raise click.ClickException(str(error)) from None
    if node is None:
        raise click.ClickException(f"--node-name {node_name}: there is no such node")
    spec = flags.of(configmap, node) if slo is None else slo.get("spec") or {}
    return Objects(list(pods), node, spec)


def _listed(api: "Client", path: str, name: str) -> Mapping[str, Any] | None:
    """Return the object of that name; None: there is none. An agent's account may list, and not get."""
    from webhook.kube.client import ApiError

    try:
        items = api.get(path, fieldSelector=f"metadata.name={name}").get("items") or []
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:  # the kind is not defined
            return None
        raise
    return next(iter(items), None)


def _sorted(values: list[Mapping[str, Any]], node_name: str | None, flags: SLOFlags) -> Objects:
    nodes = {
        str(name)
        for each in values
        if each.get("kind") == "Pod" and (name := mapping(each.get("spec")).get("nodeName"))
    }
    if node_name is None and len(nodes) > 1:
        raise click.UsageError(f"--pods has pods of {first_of(sorted(nodes), _NAMED)}: give --node-name NAME")
    pods: list[Mapping[str, Any]] = []
    node: Mapping[str, Any] = {}
    slo: Mapping[str, Any] | None = None
    configmap: Mapping[str, Any] | None = None
    for each in values:
        name = mapping(each.get("metadata")).get("name")
        if each.get("kind") == "Pod" and name:
            bound = mapping(each.get("spec")).get("nodeName")
            if node_name is None or bound in (None, node_name):
                _check(each, name)
                pods.append(each)
        elif each.get("kind") == "Node" and node_name in (None, name):
            node = each
        elif each.get("kind") == "NodeSLO" and node_name in (None, name):
            slo = each.get("spec") or {}
        elif each.get("kind") == "ConfigMap" and flags.config == (_namespace(each), name):
            configmap = each
    if nodes and not pods and not node:
        raise click.UsageError(
            f"--node-name {node_name}: --pods has neither that Node nor a pod of it: "
            f"its pods are of {first_of(sorted(nodes), _NAMED)}"
        )
    node = node or {"metadata": {}}
    return Objects(pods, node, flags.of(configmap, node) if slo is None else slo)


def _namespace(each: Mapping[str, Any]) -> object:
    return mapping(each.get("metadata")).get("namespace")


def _check(pod: Mapping[str, Any], name: object) -> None:
    from webhook.cli.options.shapes import ShapeError, check

    try:
        check(pod)
    except ShapeError as error:
        raise click.ClickException(f"--pods: pod {name}: {error}: correct it") from None
