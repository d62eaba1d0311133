"""``--kubeconfig`` and ``--in-cluster``: how a command reaches an API server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from webhook.protocol import STATUS_LEASE, USER_AGENT

if TYPE_CHECKING:
    from webhook.kube.client import Client

kubeconfig_option = click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Watch the cluster of this kubeconfig's current context.",
)
in_cluster_option = click.option(
    "--in-cluster", is_flag=True, help="Watch the cluster whose pod this is, with its service account."
)

_HOME: Final = Path("~/.kube/config")
_Command = Callable[..., Any]


class NamespacedName(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """``NAMESPACE/NAME``."""

    name = "namespace/name"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return namespace and name."""
        if isinstance(value, tuple):
            return value
        namespace, _, name = value.partition("/")
        if not namespace or not name or "/" in name:
            self.fail(f"{value!r} is not NAMESPACE/NAME", param, ctx)
        return namespace, name


def status_options(command: _Command) -> _Command:
    """Add --write-status and --lease; pass ``write_status`` and ``lease``."""
    command = click.option(
        "--lease",
        type=NamespacedName(),
        metavar="NAMESPACE/NAME",
        help="Lease by which replicas agree on which of them writes statuses "
        f"[default: {STATUS_LEASE} in the namespace of the service account or context].",
    )(command)
    return click.option(
        "--write-status/--no-write-status",
        default=True,
        show_default=True,
        help="With a cluster: write conditions (Ready, Conflicting) into the profiles' status.",
    )(command)


def open_api(kubeconfig: Path | None, *, in_cluster: bool) -> "Client | None":
    """Return the API server that the flags name, None where neither was given; nothing is called yet.

    Raises:
        click.UsageError: both were given.
        click.ClickException: what was given cannot be used.
    """
    if kubeconfig is not None and in_cluster:
        raise click.UsageError(
            f"--kubeconfig {kubeconfig} and --in-cluster exclude each other: leave one out"
        )
    if kubeconfig is not None:
        return _client("--kubeconfig", kubeconfig)
    return _client("--in-cluster") if in_cluster else None


def open_api_or_home(kubeconfig: Path | None, *, in_cluster: bool) -> "Client":
    """As `open_api`; where neither flag was given, the files are read that kubectl would read.

    Raises:
        click.ClickException: as `open_api`.
    """
    if api := open_api(kubeconfig, in_cluster=in_cluster):
        return api
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return _client("KUBECONFIG" if named else "--kubeconfig", *(named or [_HOME.expanduser()]))


def _client(said_by: str, *kubeconfigs: Path) -> "Client":
    """Reach the API server of kubeconfigs, or with none that of the pod."""
    from webhook.kube.access import AccessError, in_cluster
    from webhook.kube.client import Client

    try:
        if not kubeconfigs:
            return Client(in_cluster(), user_agent=USER_AGENT)
        # The only import of the package `kubernetes`, which an image for clusters may leave out.
        from webhook.kube.kubeconfig import read_kubeconfig

        return Client(read_kubeconfig(*kubeconfigs), user_agent=USER_AGENT)
    except AccessError as error:
        raise click.ClickException(f"{said_by}: {error}") from None
    except ImportError as error:
        raise click.ClickException(
            f"{said_by}: kubeconfigs are read by the Python package 'kubernetes', which is not usable here "
            f"({error}): pip install kubernetes, or in a pod use --in-cluster"
        ) from None
