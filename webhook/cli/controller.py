"""``colocation-webhook controller``: publishes what nodes offer to batch work, and evicts such work."""

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import Decorator, config_option, grouped, lease_option
from webhook.cli.options.listening import admin_option, listen_on
from webhook.cli.options.log import LogFlags, log_options
from webhook.protocol import CAPACITY_LEASE

if TYPE_CHECKING:
    from webhook.controller.evictor import EvictionSettings


class EvictionFlags(NamedTuple):
    """What the command line says of eviction; not yet read, for --help imports nothing."""

    evict: bool
    evict_mid: bool
    evict_cluster: int
    evict_node: int
    evict_workload: int

    def settings(self) -> "EvictionSettings | None":
        """Return the settings; None: nobody is evicted."""
        from webhook.controller.evictor import EvictionSettings
        from webhook.eviction.budget import Budget

        budget = Budget(self.evict_cluster, self.evict_node, self.evict_workload)
        return EvictionSettings(budget, self.evict_mid) if self.evict else None


def _per_minute(flag: str, of: str, default: int) -> Decorator:
    text = f"With --evict: pods of {of} that may be evicted in a minute."
    return click.option(
        flag, type=click.IntRange(1, 10_000), default=default, show_default=True, metavar="PODS", help=text
    )


_eviction: Final = grouped(
    "eviction",
    EvictionFlags,
    click.option("--evict", is_flag=True, help="Evict BE pods for nodes that ask by NodeEvictionRequests."),
    click.option("--evict-mid", is_flag=True, help="With --evict: also pods of the class mid."),
    _per_minute("--evict-cluster", "the cluster", 20),
    _per_minute("--evict-node", "a node", 4),
    _per_minute("--evict-workload", "a workload", 2),
)


@click.command()
@cluster_options
@config_option
@lease_option("--lease", CAPACITY_LEASE, "Lease by which replicas agree on which of them publishes")
@admin_option("127.0.0.1:8082")
@click.option(
    "--withdraw",
    is_flag=True,
    help="Take off the nodes what was published, delete the NodeMetrics and NodeSLOs that were made, and "
    "end; on nodes where batch pods are bound, what they request stays.",
)
@click.option(
    "--capacity/--no-capacity",
    default=True,
    show_default=True,
    help="Whether figures, NodeMetrics and NodeSLOs are published.",
)
@_eviction
@log_options
def controller(  # noqa: PLR0913 — one parameter an option
    *,
    cluster: ClusterFlags,
    config: tuple[str, str],
    lease: tuple[str, str] | None,
    admin_bind: str,
    withdraw: bool,
    capacity: bool,
    eviction: EvictionFlags,
    log: LogFlags,
) -> None:
    """Publish batch and mid resources in the status of nodes; keep their NodeMetrics and NodeSLOs.

    Figures come from NodeMetrics, which koordlet or our agent fills, and from the ConfigMap of --config;
    without it, nothing is offered. NodeSLOs carry the ConfigMap's settings to agents. One
    replica publishes, the others stand by; all stand by while Koordinator's koord-manager publishes.
    A field that somebody else owns is never taken: the log names the owner. "capacity
    explain" says how a figure was found.

    With --evict the same replica evicts BE pods for nodes that are short, by the Eviction API,
    within a budget a minute, and says the figures in an Event.

    \b
    Examples:
      colocation-webhook controller --in-cluster
      colocation-webhook controller --kubeconfig ~/.kube/config --lease default/capacity
      colocation-webhook controller --in-cluster --no-capacity --evict
      colocation-webhook controller --kubeconfig ~/.kube/config --withdraw
    """  # noqa: D301 — see main
    from webhook.controller.service import ControllerService
    from webhook.controller.state import State
    from webhook.kube.client import ApiError
    from webhook.kube.lease import Lease
    from webhook.process.metrics import new_registry

    log.configure()
    api = cluster.needed()
    if not capacity and not eviction.evict:
        raise click.UsageError("--no-capacity leaves nothing to do: give --evict, too")
    namespace, name = lease or (api.access.namespace, CAPACITY_LEASE)
    service = ControllerService(
        State(api, config), Lease(api, namespace, name), new_registry(), capacity, eviction.settings()
    )
    if not withdraw:
        service.run(listen_on("--admin-bind", admin_bind))
        return
    try:
        left = service.withdraw()
    except ApiError as error:
        raise click.ClickException(str(error)) from None
    for node in left.kept:
        click.echo(f"{node}: keeps what bound pods request; run this again when they have ended")
    if left.refused:
        raise click.ClickException("figures stay on nodes that refused: " + "; ".join(left.refused))
    click.echo("nothing is published any more" if not left.kept else f"{len(left.kept)} nodes keep figures")
