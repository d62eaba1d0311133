"""``cpuset``: allocate CPUs from problems, plan a node's pods, show a machine."""

import json
import os
import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from shutil import get_terminal_size
from typing import IO

import click

from webhook.cli.nodeplan import as_data, choose, cpus_of, place
from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.manifests import FILE, read_pods
from webhook.cli.options.output import echo_data, output_option
from webhook.cli.options.topology import (
    NodeFlags,
    load_topology,
    node_options,
    numbering_option,
    shape_option,
)
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.discovery import topology_from_data
from webhook.cpuset.errors import CpuSetError, check_integer
from webhook.cpuset.problem import solve
from webhook.cpuset.rendering import draw_node, draw_topology
from webhook.cpuset.suppression import be_budget, be_count
from webhook.cpuset.topology import Topology
from webhook.kube.files import TooLongError, read_lines
from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.quantities import NANO, QuantityError, non_negative

KNOWN_TOPOLOGIES = 256
"""How many machines ``allocate`` keeps, so that lines about the same one are quick."""

COLOURS = {
    "E": "red",
    "R": "yellow",
    "L": "green",
    "S": "magenta",
    "K": "blue",
    "X": "bright_black",
    "+": "cyan",
}


class _WrongOption(click.ClickException):
    """An option's value cannot be meant: the exit status of wrong usage, in one line."""

    exit_code = click.UsageError.exit_code


def one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what is wrong into one line: with an option exit status 2, with the input 1."""

    @wraps(command)
    def guarded(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except (CpuSetError, WorkloadError) as error:
            of_option = isinstance(error, CpuSetError) and error.field.startswith("--")
            kind = _WrongOption if of_option else click.ClickException
            raise kind(" ".join(str(error).split())) from None
        except TooLongError as error:
            raise click.ClickException(f"{error.strerror}") from None
        except BrokenPipeError:
            # Whoever read the output has seen enough; nothing is left to flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    return guarded


def paint(text: str, mark: str) -> str:
    """Colour a CPU by what it is for; underlined where BE may run."""
    return click.style(text, fg=COLOURS.get(mark), underline=text.endswith("+") and len(text) > 1)


@click.group(name="cpuset", context_settings={"help_option_names": ["-h", "--help"]})
def cpuset() -> None:
    """Allocate CPU sets exactly, plan a node's pods, show a machine's CPUs."""


@cpuset.command(short_help="Answer allocation problems, one JSON object a line.")
@click.argument("problems", type=click.File("r", encoding="utf-8", errors="surrogateescape"), default="-")
@one_line
def allocate(problems: IO[str]) -> None:
    """Answer allocation problems, one JSON object a line, from PROBLEMS or stdin.

    A problem has topology, which "cpuset show -o json" prints (machine.json below), and numCPUs. It may have
    available and preferred (cpulists), bindPolicy, required, exclusivePolicy, numaStrategy, numaNodes,
    allocated and maxRefCount. Every line gets one line back: {"cpuset": "0-3", "numaNodes": [0]} or
    {"error": "…"}.

    Exit status: 1 if a line was answered with an error, else 0.

    \b
    Examples:
      colocation-webhook cpuset allocate < problems.jsonl > answers.jsonl
      jq -c '{topology: ., numCPUs: 2}' machine.json | colocation-webhook cpuset allocate
    """  # noqa: D301 — see main
    failed = False
    for line in read_lines(problems):
        if line.strip():
            answer = _answer(line)
            failed |= "error" in answer
            click.echo(json.dumps(answer, ensure_ascii=False))
    if failed:
        sys.exit(1)


def _answer(line: str) -> dict[str, object]:
    """Return the answer to one line."""
    try:
        problem = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"error": f"is not JSON: {error}"}
    if not isinstance(problem, dict):
        return {"error": "a problem is a JSON object"}
    try:
        found = solve(problem, _known_topology(json.dumps(problem.get("topology"))))
    except CpuSetError as error:
        return {"error": str(error)}
    return {"cpuset": found.cpulist, "numaNodes": list(found.numa_nodes)}


@lru_cache(KNOWN_TOPOLOGIES)
def _known_topology(text: str) -> Topology:
    return topology_from_data(json.loads(text))


@cpuset.command(short_help="Place the pods of a manifest on a node.")
@click.argument("pods", type=FILE)
@node_options
@click.option("--node", "on_node", metavar="NAME", help="Only pods that are bound to this node, or to none.")
@click.option(
    "--used",
    default="0",
    metavar="CPU",
    show_default=True,
    help="CPU that all but BE pods use now, such as 900m.",
)
@click.option(
    "--threshold",
    default=65,
    show_default=True,
    metavar="PERCENT",
    help="Share of the machine that all may use before BE work is narrowed.",
)
@output_option
@one_line
def plan(
    pods: str,
    *,
    node: NodeFlags,
    on_node: str | None,
    used: str,
    threshold: int,
    output: str,
) -> None:
    """Place the pods of PODS on a node, in the order in which they stand there.

    PODS holds Pods, or anything that makes pods, as for preview; - is standard input. Workloads
    are placed with all their replicas; pods that hold CPUs already keep them. Pods that have
    finished, pods of other nodes and other objects are passed over.

    \b
    Examples:
      colocation-webhook cpuset plan --topology 1x1x8x2 --numbering linux --used 900m pods.yaml
      kubectl get pods -A -o yaml | colocation-webhook cpuset plan --node n --topology 2x1x32x2 -
    """  # noqa: D301 — see main
    try:
        used_nano = non_negative(used)
    except QuantityError as error:
        raise _WrongOption(f"--used: {error}") from None
    check_integer("--threshold", threshold, "a percentage", most=100)
    state = node.state()
    chosen = choose(read_pods(pods), on_node)
    for note in chosen.notes or ([] if chosen.pods else ["no pods: the node is drawn as it is without any"]):
        click.echo(note, err=True)
    placed = place(state, chosen.pods)
    used_milli = -(-used_nano * 1000 // NANO)
    budget = be_budget(state.topology.size * 1000, used_milli, threshold_percent=threshold)
    best_effort = state.be_cpus(be_count(budget, cpus=state.topology.size))
    if output != "text":
        echo_data(as_data(state, placed, best_effort), output)
        return
    for pod in placed:
        click.echo(f"{pod.name:<24} {pod.qos or '-':<6} {cpus_of(state, pod, best_effort)}")
    click.echo(f"\nshare pool: {format_cpulist(state.shared_pool()) or 'empty'}")
    click.echo(
        f"BE pool:    {format_cpulist(state.be_pool()) or 'empty'}; now {len(best_effort)} CPUs: "
        f"{format_cpulist(best_effort) or 'none'}\n"
    )
    click.echo(draw_node(state, best_effort, width=get_terminal_size().columns, paint=paint))


@cpuset.command(short_help="Draw the CPUs of a machine, or of a cluster's node.")
@shape_option
@numbering_option
@click.option("--node", metavar="NAME", help="A node of a cluster: its pods' CPU sets, by its ledger.")
@cluster_options
@output_option
@one_line
def show(
    shape: str | None,
    numbering: str,
    *,
    node: str | None,
    cluster: ClusterFlags,
    output: str,
) -> None:
    """Draw this machine's CPUs, another's, or a cluster node's with the pods that hold them.

    With --node, and without --kubeconfig and --in-cluster, it reads KUBECONFIG or ~/.kube/config.

    \b
    Examples:
      colocation-webhook cpuset show
      colocation-webhook cpuset show --topology 2x2x8x2 --numbering linux
      lscpu -J -e > machine.json && colocation-webhook cpuset show --topology machine.json
      colocation-webhook cpuset show --topology n.yaml  # kubectl get noderesourcetopology -o yaml
      colocation-webhook cpuset show --node node-1
      colocation-webhook cpuset show -o json > machine.json
    """  # noqa: D301 — see main
    if node is not None:
        if shape is not None:
            raise click.UsageError("--node and --topology exclude each other: a node has its own topology")
        _show_node(node, cluster, output)
        return
    if cluster.kubeconfig is not None or cluster.in_cluster:
        raise click.UsageError("--kubeconfig and --in-cluster need --node NAME: which node's CPUs?")
    topology = load_topology(shape, numbering)
    if output != "text":
        fields = ("cpu", "core", "node", "socket")
        echo_data([{field: getattr(place, field) for field in fields} for place in topology.places], output)
        return
    counts = {
        "CPU": topology.size,
        "core": len(topology.core_masks),
        "NUMA node": len(topology.nodes),
        "socket": len({place.socket for place in topology.places}),
    }
    click.echo(", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items()) + "\n")
    click.echo(draw_topology(topology, width=get_terminal_size().columns, paint=paint))


def _show_node(node: str, cluster: ClusterFlags, output: str) -> None:
    """Print the map of a cluster node; ClickException where there is none."""
    from webhook.binding.caches import TOPOLOGIES
    from webhook.binding.ledger import Ledger, read_ledger
    from webhook.binding.ledgers import LEDGERS
    from webhook.binding.rendering import draw_ledger
    from webhook.kube.client import ApiError
    from webhook.kube.paths import NODES, member
    from webhook.pods.nodes.nodetopology import NodeTopologyError, read_node_topology

    api = cluster.open_or_home()
    try:
        found = api.find(member(NODES, node))
        if found is None:
            raise click.ClickException(
                f"--node {node}: there is no such node; 'kubectl get nodes' lists them"
            )
        described = read_node_topology(found, api.find(member(TOPOLOGIES, node)))
        raw = api.find(member(LEDGERS, node))
    except (ApiError, NodeTopologyError) as error:
        raise click.ClickException(str(error)) from None
    ledger = read_ledger(raw) if raw is not None else Ledger(node, described.uid)
    if output == "text":
        click.echo(draw_ledger(described, ledger, width=get_terminal_size().columns, paint=paint))
        return
    pods = [
        {"pod": entry.pod, "qos": entry.qos, "cpuset": format_cpulist(entry.cpus), "policy": entry.policy}
        for entry in ledger.entries.values()
    ]
    echo_data({"node": node, "cpus": described.cpu_topology.size, "pods": pods}, output)
