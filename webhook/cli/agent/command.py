"""``colocation-webhook agent``: measures a node, publishes what was measured, and enforces on it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from webhook.cli.agent.actions import print_actions, restore_all
from webhook.cli.agent.dryrun import print_plan
from webhook.cli.agent.eviction import EvictionFlags, eviction_options
from webhook.cli.agent.metrics import MetricsFlags, metrics_options
from webhook.cli.agent.nodeslo import SLOFlags, slo_options
from webhook.cli.agent.objects import node_name_option, objects_of, pods_option
from webhook.cli.agent.place import AgentPlace, Place, place_options, root_options, state_option
from webhook.cli.agent.processes import ProcessFlags, process_options
from webhook.cli.agent.suppression import suppression_options
from webhook.cli.agent.verification import print_cpusets
from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import (
    NAMESPACED,
    Decorator,
    NamespacedName,
    choice_option,
    seconds_option,
)
from webhook.cli.options.listening import admin_option, listen_on
from webhook.cli.options.log import LogFlags, log_options
from webhook.cli.options.output import output_option
from webhook.cli.terminal import color_option

if TYPE_CHECKING:
    from webhook.agent.machine.hierarchy import Hierarchy
    from webhook.agent.statefolder import StateFolder
    from webhook.agent.suppression.decision import Options

_ENABLE = "start the kernel with cgroup_enable=memory, or mount what is missing at /sys/fs/cgroup"


def _daemonset_option(text: str, *, required: bool = False) -> Decorator:
    return click.option(
        "--daemonset", type=NamespacedName(), metavar=NAMESPACED, required=required, help=text
    )


def _pod_option(text: str) -> Decorator:
    return click.option("--pod", metavar="POD", help=f"{text}: NAMESPACE/NAME, NAME or UID.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@cluster_options
@node_name_option
@choice_option(
    "--mode",
    choices=("observe", "enforce"),
    text="observe: measure, publish and plan, write to no cgroup. enforce: write, after ten seconds.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be written to cgroups, and end.")
@pods_option("With --dry-run: ")
@output_option
@_daemonset_option(
    "The DaemonSet of this agent's pod. When the agent ends and the DaemonSet is gone, is being deleted, or "
    "has the mode observe, what was written is given back."
)
@click.option("--restore", is_flag=True, help="Write back what was there before the agent, and end.")
@_pod_option("With --restore: only of this pod")
@place_options
@slo_options
@process_options
@eviction_options
@suppression_options
@click.option(
    "--yarn-cgroup",
    metavar="PATH",
    default="yarn",
    show_default=True,
    help="The cgroup of YARN's containers, whose CPU time is a metric where it exists.",
)
@admin_option("127.0.0.1:8083")
@metrics_options
@log_options
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
    place: AgentPlace,
    slo: SLOFlags,
    processes: ProcessFlags,
    eviction: EvictionFlags,
    suppression: "Options | None",
    yarn_cgroup: str,
    admin_bind: str,
    metrics: MetricsFlags,
    log: LogFlags,
) -> None:
    """Measure this node each second, publish what was measured, and enforce what pods were given.

    What node, system, QoS classes and pods use is read from cgroups and /proc. It becomes the
    status of the node's NodeMetric, which the controller creates, and Prometheus metrics; CPUs,
    share pools and caches become the node's NodeResourceTopology. In the mode enforce, CPU sets
    and batch limits are written to the cgroups of pods, each write into a ledger in --state-dir.
    Where koordlet runs on the node, the agent stands by.

    Exit status: 1 if there are no cgroups, another agent has --state-dir, or --restore left a
    file as it is; it refuses while an agent in the mode enforce has --state-dir.

    \b
    Examples:
      colocation-webhook agent --in-cluster --node-name node-1
      colocation-webhook agent --kubeconfig ~/.kube/config --node-name node-1 --state-dir /var/agent
      colocation-webhook agent --dry-run --node-name node-1
      colocation-webhook agent --dry-run --root recorded --node-name node-1 --pods pods.yaml
      colocation-webhook agent --restore --pod shop/web-0
      colocation-webhook agent log --pod shop/web-0
      colocation-webhook agent cpusets shop/web-0 --node-name node-1
      colocation-webhook agent remove --in-cluster --daemonset NS/colocation-webhook-agent
    """  # noqa: D301 — see main
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx, ctx.invoked_subcommand)
        return
    _check(dry_run=dry_run, restore=restore, pods=pods, pod=pod)
    eviction.check(mode)
    if restore:
        restore_all(place, pod)
        return
    if dry_run:
        print_plan(objects_of(pods, cluster, node_name, slo), place, output, processes, suppression)
        return
    if node_name is None:
        raise click.UsageError("nothing says which node this is: give --node-name NAME")
    api = cluster.needed()
    log.configure()
    from webhook.agent.service import AgentService
    from webhook.agent.watched import Watched
    from webhook.process.metrics import new_registry

    with _held(place) as (hierarchy, folder):
        service = AgentService(
            Watched(api, node_name, default_slo=slo.node_slo, config=slo.config),
            hierarchy,
            folder,
            new_registry(),
            root=place.root,
            kubelet_folder=place.kubelet_dir,
            yarn=yarn_cgroup,
            enforce=mode == "enforce",
            settings=processes.settings(),
            proc=processes.host_proc,
            daemonset=daemonset,
            ask_evictions=eviction.ask_evictions,
            kill_after=eviction.kill_after,
            suppression=suppression,
        )
        service.run(listen_on("--admin-bind", admin_bind), metrics.listen())


def _refuse_options(ctx: click.Context, subcommand: str) -> None:
    """Refuse options that stand before a subcommand, which would not heed them."""
    for each in ctx.command.params:
        if each.name and ctx.get_parameter_source(each.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{each.opts[-1]} belongs behind {subcommand}, if that has it")


def _check(*, dry_run: bool, restore: bool, pods: Path | None, pod: str | None) -> None:
    """Refuse options that do not go together."""
    if dry_run and restore:
        raise click.UsageError("--dry-run and --restore exclude each other: the first one writes nothing")
    if pods is not None and not dry_run:
        raise click.UsageError("--pods goes with --dry-run: an agent that runs reads its pods from a cluster")
    if pod is not None and not restore:
        raise click.UsageError("--pod goes with --restore; to see what was written: agent log --pod POD")


@contextlib.contextmanager
def _held(place: AgentPlace) -> "Iterator[tuple[Hierarchy, StateFolder]]":
    """Find the cgroups, and have the state folder meanwhile."""
    from webhook.agent.machine.hierarchy import HierarchyError, find_hierarchy
    from webhook.agent.statefolder import AnotherAgentError, StateFolder, alone

    with contextlib.ExitStack() as stack:
        folder = StateFolder(place.state_dir)
        try:
            hierarchy = find_hierarchy(place.root, place.kubepods)
            stack.enter_context(folder.held())
            stack.enter_context(alone(hierarchy.all_pods))
        except (HierarchyError, AnotherAgentError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"--state-dir {place.state_dir}: {error.strerror or error}") from None
        if lacking := sorted({"cpuacct", "memory"}.intersection(hierarchy.lacking)):
            raise click.ClickException(
                f"the cgroups here have no controller {' and '.join(lacking)}: {_ENABLE}"
            )
        yield hierarchy, folder


@agent.command(short_help="Print what was written to cgroups, and why.")
@state_option
@_pod_option("Only of this pod")
@output_option
def log(*, state_dir: Path, pod: str | None, output: str) -> None:
    """Print the ledger of actions: every write to a cgroup, what was there before, and why.

    \b
    Examples:
      colocation-webhook agent log
      colocation-webhook agent log --pod shop/web-0
      kubectl -n NS exec ds/colocation-webhook-agent -- colocation-webhook agent log -o json
    """  # noqa: D301 — see main
    print_actions(state_dir, pod, output)


@agent.command(short_help="Print which CPUs pods run on, and whether they should.")
@click.argument("pod", required=False)
@cluster_options
@node_name_option
@pods_option()
@root_options
@slo_options
@color_option
@output_option
def cpusets(  # noqa: PLR0913 — one parameter an option
    *,
    pod: str | None,
    cluster: ClusterFlags,
    node_name: str | None,
    pods: Path | None,
    place: Place,
    slo: SLOFlags,
    color: str,
    output: str,
) -> None:
    """Print the CPU sets of POD, or of all pods of this node, as the kernel has them.

    POD is NAMESPACE/NAME, NAME or UID. Of each container: its cgroup, cpuset.cpus, the set of the
    annotation resource-status, and what should stand there by the rules of the mode enforce, whoever
    writes it. Nothing is written.

    Exit status: 1 if a container does not run on the CPUs on which it should, a pod that runs has no
    cgroup, or there is no such pod or none at all.

    \b
    Examples:
      colocation-webhook agent cpusets nginx-lse-56c9cd77f5-cdqbd --node-name node-1
      colocation-webhook agent cpusets --node-name node-1 -o json
      colocation-webhook agent cpusets --root recorded --node-name node-1 --pods pods.yaml
      kubectl -n NS exec ds/colocation-webhook-agent -- colocation-webhook agent cpusets --in-cluster
    """  # noqa: D301 — see main
    print_cpusets(objects_of(pods, cluster, node_name, slo), place, pod, output, color)


@agent.command(short_help="End all agents for good: each gives back what it wrote.")
@cluster_options
@_daemonset_option("The agents' DaemonSet.", required=True)
@seconds_option("--wait", kind=click.IntRange(min=1), default=300, text="How long to wait for the agents.")
def remove(*, cluster: ClusterFlags, daemonset: tuple[str, str], wait: int) -> None:
    """Delete the agents' DaemonSet, and wait until each agent has given back what it wrote.

    Exit status: 1 if agents are left.

    \b
    Examples:
      colocation-webhook agent remove --in-cluster --daemonset NS/colocation-webhook-agent
    """  # noqa: D301 — see main
    from webhook.agent import leaving

    api = cluster.open_or_home()
    try:
        leaving.remove(api, daemonset, wait)
    except leaving.RemovalError as error:
        raise click.ClickException(str(error)) from None
    click.echo("no agent is left")
