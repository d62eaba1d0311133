"""``colocation-webhook agent``: measures a node and publishes what was measured."""

import contextlib
from pathlib import Path
from typing import Literal

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import choice_option
from webhook.cli.options.listening import listen_on

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@cluster_options
@click.option(
    "--node-name",
    envvar="NODE_NAME",
    metavar="NAME",
    required=True,
    show_envvar=True,
    help="The node of this machine.",
)
@choice_option(
    "--mode",
    choices=("observe", "enforce"),
    text="observe: measure and publish, write to no cgroup. enforce is not built yet.",
)
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
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default="/var/lib/colocation-webhook",
    show_default=True,
    help="What survives a restart; one agent of a node has it.",
)
@click.option(
    "--yarn-cgroup",
    metavar="PATH",
    default="yarn",
    show_default=True,
    help="The cgroup of YARN's containers, whose CPU time is a metric where it exists.",
)
@click.option(
    "--admin-bind",
    default="127.0.0.1:8083",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /healthz, /readyz and /metrics answer, without TLS.",
)
@click.option(
    "--metrics-bind", metavar="HOST:PORT", help="Where metrics answer once more, at --metrics-path."
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
def agent(  # noqa: PLR0913 — one parameter an option
    *,
    cluster: ClusterFlags,
    node_name: str,
    mode: str,
    root: Path,
    kubepods: str | None,
    kubelet_dir: Path | None,
    state_dir: Path,
    yarn_cgroup: str,
    admin_bind: str,
    metrics_bind: str | None,
    metrics_path: str,
    log_level: str,
    log_format: Literal["auto", "json", "text"],
) -> None:
    """Measure this node each second, and publish what was measured.

    What node, system, QoS classes and pods use is read from cgroups and /proc. It becomes the
    status of the node's NodeMetric, which the controller creates, and Prometheus metrics; CPUs,
    share pools and caches become the node's NodeResourceTopology. Nothing is written to the
    machine but --state-dir. Where koordlet runs on the node, the agent stands by.

    Exit status: 1 if there are no cgroups, or another agent has --state-dir.

    \b
    Examples:
      colocation-webhook agent --in-cluster --node-name node-1
      colocation-webhook agent --kubeconfig ~/.kube/config --node-name node-1 --state-dir /tmp/agent
    """  # noqa: D301 — see main
    from webhook.agent.hierarchy import HierarchyError, find_hierarchy
    from webhook.agent.service import AgentService, SecondAddress
    from webhook.agent.statefolder import AnotherAgentError, StateFolder
    from webhook.agent.watched import Watched
    from webhook.process.log import chosen, configure
    from webhook.process.metrics import new_registry

    configure(log_level, chosen(log_format))
    if mode == "enforce":
        raise click.UsageError("--mode enforce is not built yet: this agent measures and writes to no cgroup")
    if not metrics_path.startswith("/"):
        raise click.UsageError(f"--metrics-path {metrics_path}: write for example /actuator/prometheus")
    api = cluster.open()
    if api is None:
        raise click.UsageError("nothing says which cluster: give --kubeconfig FILE or --in-cluster")
    with contextlib.ExitStack() as stack:
        folder = StateFolder(state_dir)
        try:
            hierarchy = find_hierarchy(root, kubepods)
            stack.enter_context(folder.held())
        except (HierarchyError, AnotherAgentError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"--state-dir {state_dir}: {error.strerror or error}") from None
        service = AgentService(
            Watched(api, node_name), hierarchy, folder, new_registry(), root, kubelet_dir, yarn_cgroup
        )
        admin = listen_on("--admin-bind", admin_bind)
        second = listen_on("--metrics-bind", metrics_bind) if metrics_bind else None
        service.run(admin, SecondAddress(second, metrics_path) if second else None)
