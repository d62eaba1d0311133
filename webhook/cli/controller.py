"""``colocation-webhook controller``: publishes what nodes offer to batch work."""

from typing import Literal

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import choice_option, config_option, lease_option
from webhook.cli.options.listening import Address, listen_on
from webhook.protocol import CAPACITY_LEASE


@click.command()
@cluster_options
@config_option
@lease_option("--lease", CAPACITY_LEASE, "Lease by which replicas agree on which of them publishes")
@click.option(
    "--admin-bind",
    type=Address(),
    default="127.0.0.1:8082",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /healthz, /readyz and /metrics answer, without TLS.",
)
@click.option(
    "--withdraw",
    is_flag=True,
    help="Take off the nodes what was published, delete the NodeMetrics and NodeSLOs that were made, and "
    "end; on nodes where batch pods are bound, what they request stays.",
)
@choice_option("--log-level", choices=("debug", "info", "warning", "error"), default="info")
@choice_option("--log-format", choices=("auto", "json", "text"), text="auto: text on a terminal, else json.")
def controller(  # noqa: PLR0913 — one parameter an option
    *,
    cluster: ClusterFlags,
    config: tuple[str, str],
    lease: tuple[str, str] | None,
    admin_bind: str,
    withdraw: bool,
    log_level: str,
    log_format: Literal["auto", "json", "text"],
) -> None:
    """Publish batch and mid resources in the status of nodes; keep their NodeMetrics and NodeSLOs.

    Figures come from NodeMetrics, which koordlet or our agent fills, and from the ConfigMap of --config;
    without it, nothing is offered. NodeSLOs say to agents what stands there. One replica
    publishes, the others stand by; all stand by while Koordinator's koord-manager publishes.
    A field that somebody else owns is never taken: the log names the owner. "capacity
    explain" says how a figure was found.

    \b
    Examples:
      colocation-webhook controller --in-cluster
      colocation-webhook controller --kubeconfig ~/.kube/config --lease default/capacity
      colocation-webhook controller --kubeconfig ~/.kube/config --withdraw
    """  # noqa: D301 — see main
    from webhook.controller.service import ControllerService
    from webhook.controller.state import State
    from webhook.kube.client import ApiError
    from webhook.kube.lease import Lease
    from webhook.process.log import chosen, configure
    from webhook.process.metrics import new_registry

    configure(log_level, chosen(log_format))
    api = cluster.open()
    if api is None:
        raise click.UsageError("nothing says which cluster: give --kubeconfig FILE or --in-cluster")
    namespace, name = lease or (api.access.namespace, CAPACITY_LEASE)
    service = ControllerService(State(api, config), Lease(api, namespace, name), new_registry())
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
