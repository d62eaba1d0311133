"""``--kubeconfig`` and ``--in-cluster``: how a command reaches an API server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from webhook.protocol import STATUS_LEASE

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
    if kubeconfig is None and not in_cluster:
        return None
    from webhook.kube import access
    from webhook.kube.client import Client
    from webhook.kube.kubeconfig import read_kubeconfig

    try:
        return Client(access.in_cluster() if kubeconfig is None else read_kubeconfig(kubeconfig))
    except access.AccessError as error:
        flag = "--in-cluster" if kubeconfig is None else "--kubeconfig"
        raise click.ClickException(f"{flag}: {error}") from None


def open_api_or_home(kubeconfig: Path | None, *, in_cluster: bool) -> "Client":
    """As `open_api`; where neither flag was given, the file is read that kubectl would read.

    Raises:
        click.ClickException: as `open_api`; or KUBECONFIG names several files, which are not merged.
    """
    if kubeconfig is None and not in_cluster:
        kubeconfig = _as_kubectl(os.environ.get("KUBECONFIG", ""))
    api = open_api(kubeconfig, in_cluster=in_cluster)
    assert api is not None  # noqa: S101 — one of both is given by now
    return api


def _as_kubectl(variable: str) -> Path:
    """The one file of KUBECONFIG, or ``~/.kube/config`` where it is empty."""
    files = [each for each in variable.split(os.pathsep) if each]
    if len(files) > 1:
        raise click.ClickException(
            f"KUBECONFIG names several files ({variable}), which are not merged here: give --kubeconfig FILE"
        )
    return Path(files[0]) if files else _HOME.expanduser()
