"""``colocation-webhook agent``: measures a node, publishes what was measured, and enforces on it."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from webhook.cli.agent.actions import print_actions, restore_all
from webhook.cli.agent.dryrun import objects_of, print_plan
from webhook.cli.agent.place import Place
from webhook.cli.agent.suppression import suppression_options
from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import NAMESPACED, NamespacedName, choice_option, seconds_option
from webhook.cli.options.listening import Address, listen_on
from webhook.cli.options.output import output_option

if TYPE_CHECKING:
    from webhook.agent.plan.settings import Settings
    from webhook.agent.service import AgentService
    from webhook.agent.suppression.decision import Options
    from webhook.kube.client import Client

_ENABLE = "start the kernel with cgroup_enable=memory, or mount what is missing at /sys/fs/cgroup"
_NICE = re.compile(r"-(20|1?\d)|1?\d", re.ASCII)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


_state_dir = click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default="/var/lib/colocation-webhook",
    show_default=True,
    help="What survives a restart; one agent of a node has it.",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@cluster_options
@click.option(
    "--node-name",
    envvar="NODE_NAME",
    metavar="NAME",
    show_envvar=True,
    help="The node of this machine.",
)
@choice_option(
    "--mode",
    choices=("observe", "enforce"),
    text="observe: measure, publish and plan, write to no cgroup. enforce: write, after ten seconds.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be written to cgroups, and end.")
@click.option(
    "--pods",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="With --dry-run: Pods, and a Node and a NodeSLO, of this file instead of a cluster.",
)
@output_option
@click.option(
    "--daemonset",
    type=NamespacedName(),
    metavar=NAMESPACED,
    help="What this agent is a pod of. When the agent ends and that is gone, is being deleted, or "
    "has the mode observe, what was written is given back.",
)
@click.option("--restore", is_flag=True, help="Write back what was there before the agent, and end.")
@click.option("--pod", metavar="POD", help="With --restore: only of this pod: UID, NAMESPACE/NAME or NAME.")
@click.option(
    "--root", metavar="DIR", type=_FOLDER, default="/", show_default=True, help="Where /sys and /proc are."
)
@click.option(
    "--kubepods",
    metavar="PATH",
    help="The cgroup of all pods, such as kubepods.slice [default: the one that there is].",
)
@click.option(
    "--kubelet-dir",
    metavar="DIR",
    type=_FOLDER,
    help="The kubelet's folder: publish its CPU manager's policy, and the CPUs that it gave to pods.",
)
@click.option(
    "--node-slo",
    metavar="JSON",
    help="The spec of a NodeSLO, for a node that has none [default: nothing is switched on].",
)
@click.option(
    "--oom-score-adj",
    is_flag=True,
    help="Obey the annotation koordinator.sh/oom-score-adj of pods; needs the host's /proc.",
)
@click.option(
    "--nice",
    metavar="CLASS=N",
    multiple=True,
    help="Nice value of the processes of a QoS class, such as LS=-5; needs the host's process ids.",
)
@click.option(
    "--host-proc",
    metavar="DIR",
    type=_FOLDER,
    default="/proc",
    show_default=True,
    help="Where the host's /proc is, for these two.",
)
@click.option(
    "--ask-evictions",
    is_flag=True,
    help="Ask for evictions of BE pods by a NodeEvictionRequest, where the NodeSLO says when.",
)
@suppression_options
@_state_dir
@click.option(
    "--yarn-cgroup",
    metavar="PATH",
    default="yarn",
    show_default=True,
    help="The cgroup of YARN's containers, whose CPU time is a metric where it exists.",
)
@click.option(
    "--admin-bind",
    type=Address(),
    default="127.0.0.1:8083",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /healthz, /readyz and /metrics answer, without TLS.",
)
@click.option(
    "--metrics-bind",
    type=Address(),
    metavar="HOST:PORT",
    help="Where metrics answer once more, at --metrics-path.",
)
@click.option(
    "--metrics-path",
    default="/actuator/prometheus",
    show_default=True,
    metavar="PATH",
    help="Their path there.",
)
@choice_option("--log-level", choices=("debug", "info", "warning", "error"), default="info")
@choice_option("--log-format", choices=("auto", "json", "text"), text="auto: text on a terminal, else json.")
@click.pass_context
def agent(  # noqa: PLR0913 — one parameter an option
    ctx: click.Context,
    *,
    cluster: ClusterFlags,
    node_name: str | None,
    mode: str,
    dry_run: bool,
    pods: Path | None,
    output: str,
    daemonset: tuple[str, str] | None,
    restore: bool,
    pod: str | None,
    root: Path,
    kubepods: str | None,
    kubelet_dir: Path | None,
    node_slo: str | None,
    oom_score_adj: bool,
    nice: tuple[str, ...],
    host_proc: Path,
    ask_evictions: bool,
    suppression: "Options | None",
    state_dir: Path,
    yarn_cgroup: str,
    admin_bind: str,
    metrics_bind: str | None,
    metrics_path: str,
    log_level: str,
    log_format: Literal["auto", "json", "text"],
) -> None:
    """Measure this node each second, publish what was measured, and enforce what pods were given.

    What node, system, QoS classes and pods use is read from cgroups and /proc. It becomes the
    status of the node's NodeMetric, which the controller creates, and Prometheus metrics; CPUs,
    share pools and caches become the node's NodeResourceTopology. In the mode enforce, CPU sets
    and batch limits are written to the cgroups of pods, each write into a ledger in --state-dir.
    Where koordlet runs on the node, the agent stands by.

    Exit status: 1 if there are no cgroups, another agent has --state-dir, or --restore left a
    file as it is.

    \b
    Examples:
      colocation-webhook agent --in-cluster --node-name node-1
      colocation-webhook agent --kubeconfig ~/.kube/config --node-name node-1 --state-dir /var/agent
      colocation-webhook agent --dry-run --node-name node-1
      kubectl get pods -A -o yaml | colocation-webhook agent --dry-run --root recorded --pods -
      colocation-webhook agent --restore --pod shop/web-0
      colocation-webhook agent log --pod shop/web-0
      colocation-webhook agent remove --in-cluster --daemonset colocation/colocation-webhook-agent
    """  # noqa: D301 — see main
    if ctx.invoked_subcommand is not None:
        return
    _check(dry_run=dry_run, restore=restore, pods=pods, pod=pod)
    place = Place(root, kubepods, kubelet_dir, state_dir)
    if restore:
        restore_all(place, pod)
        return
    slo, settings = _node_slo(node_slo), _settings(nice, oom_score_adj=oom_score_adj)
    if dry_run:
        print_plan(objects_of(pods, cluster, node_name, slo), place, output, suppression)
        return
    if node_name is None:
        raise click.UsageError("nothing says which node this is: give --node-name NAME")
    if not metrics_path.startswith("/"):
        raise click.UsageError(f"--metrics-path {metrics_path}: write for example /actuator/prometheus")
    api = cluster.open()
    if api is None:
        raise click.UsageError("nothing says which cluster: give --kubeconfig FILE or --in-cluster")
    from webhook.process.log import chosen, configure

    configure(log_level, chosen(log_format))
    with _service(place, api, node_name, slo, ask=ask_evictions) as service:
        service.yarn, service.enforce, service.daemonset = yarn_cgroup, mode == "enforce", daemonset
        service.settings, service.proc = settings, host_proc
        service.suppression = suppression
        from webhook.agent.service import SecondAddress

        admin = listen_on("--admin-bind", admin_bind)
        second = listen_on("--metrics-bind", metrics_bind) if metrics_bind else None
        service.run(admin, SecondAddress(second, metrics_path) if second else None)


def _check(*, dry_run: bool, restore: bool, pods: Path | None, pod: str | None) -> None:
    """Refuse options that do not go together."""
    if dry_run and restore:
        raise click.UsageError("--dry-run and --restore exclude each other: the first one writes nothing")
    if pods is not None and not dry_run:
        raise click.UsageError("--pods goes with --dry-run: an agent that runs reads its pods from a cluster")
    if pod is not None and not restore:
        raise click.UsageError("--pod goes with --restore; to see what was written: agent log --pod POD")


def _node_slo(text: str | None) -> Mapping[str, Any]:
    """Return what --node-slo says; a mistake of whoever starts the agent ends it."""
    if text is None:
        return {}
    from webhook.slo.nodeslo import read_nodeslo

    try:
        spec = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--node-slo: is not JSON: {error}") from None
    if findings := read_nodeslo(spec).findings:
        raise click.UsageError(f"--node-slo: {findings[0]}")
    return spec if isinstance(spec, dict) else {}


def _settings(nice: tuple[str, ...], *, oom_score_adj: bool) -> "Settings":
    """Return what is switched on of what needs rights of its own."""
    from webhook.agent.plan.settings import Settings
    from webhook.protocol import QOS_CLASSES

    values = {}
    for each in nice:
        name, _, number = each.partition("=")
        if name not in QOS_CLASSES or not _NICE.fullmatch(number):
            classes = ", ".join(sorted(QOS_CLASSES))
            raise click.UsageError(
                f"--nice {each}: write CLASS=N: one of {classes}, and -20, first, to 19, last"
            )
        values[name] = int(number)
    return Settings(oom_score_adj=oom_score_adj, nice=values)


@contextlib.contextmanager
def _service(
    place: Place, api: "Client", node_name: str, slo: Mapping[str, Any], *, ask: bool
) -> Iterator["AgentService"]:
    """Put the agent together, and have its state folder meanwhile."""
    from webhook.agent.hierarchy import HierarchyError, find_hierarchy
    from webhook.agent.service import AgentService
    from webhook.agent.statefolder import AnotherAgentError, StateFolder
    from webhook.agent.watched import Watched
    from webhook.process.metrics import new_registry

    with contextlib.ExitStack() as stack:
        folder = StateFolder(place.state_dir)
        try:
            hierarchy = find_hierarchy(place.root, place.kubepods)
            stack.enter_context(folder.held())
        except (HierarchyError, AnotherAgentError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"--state-dir {place.state_dir}: {error.strerror or error}") from None
        if lacking := sorted({"cpuacct", "memory"}.intersection(hierarchy.lacking)):
            raise click.ClickException(
                f"the cgroups here have no controller {' and '.join(lacking)}: {_ENABLE}"
            )
        yield AgentService(
            Watched(api, node_name),
            hierarchy,
            folder,
            new_registry(),
            place.root,
            place.kubelet_dir,
            default_slo=slo,
            ask_evictions=ask,
        )


@agent.command(short_help="Print what was written to cgroups, and why.")
@_state_dir
@click.option("--pod", metavar="POD", help="Only of this pod: NAMESPACE/NAME, NAME or UID.")
@output_option
def log(*, state_dir: Path, pod: str | None, output: str) -> None:
    """Print the ledger of actions: every write to a cgroup, what was there before, and why.

    \b
    Examples:
      colocation-webhook agent log
      colocation-webhook agent log --pod shop/web-0
      kubectl exec ds/colocation-webhook-agent -- colocation-webhook agent log -o json
    """  # noqa: D301 — see main
    print_actions(state_dir, pod, output)


@agent.command(short_help="End all agents for good: each gives back what it wrote.")
@cluster_options
@click.option(
    "--daemonset",
    type=NamespacedName(),
    metavar=NAMESPACED,
    required=True,
    help="The agents' DaemonSet.",
)
@seconds_option("--wait", kind=click.IntRange(min=1), default=300, text="How long to wait for the agents.")
def remove(*, cluster: ClusterFlags, daemonset: tuple[str, str], wait: int) -> None:
    """Delete the agents' DaemonSet, and wait until each agent has given back what it wrote.

    Exit status: 1 if agents are left.

    \b
    Examples:
      colocation-webhook agent remove --in-cluster --daemonset colocation/colocation-webhook-agent
    """  # noqa: D301 — see main
    from webhook.agent import leaving

    api = cluster.open_or_home()
    try:
        leaving.remove(api, daemonset, wait)
    except leaving.RemovalError as error:
        raise click.ClickException(str(error)) from None
    click.echo("no agent is left")
