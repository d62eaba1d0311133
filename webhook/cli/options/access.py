"""``--kubeconfig`` and ``--in-cluster``: how a command reaches an API server."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from webhook.cli.options.declarations import Decorator, grouped
from webhook.protocol import USER_AGENT

if TYPE_CHECKING:
    from webhook.kube.client import Client

_HOME: Final = Path("~/.kube/config")


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterFlags:
    """The cluster that the flags name."""

    kubeconfig: Path | None
    in_cluster: bool

    def open(self) -> "Client | None":
        """Return the API server, None where neither flag was given; nothing is called yet.

        Raises:
            click.UsageError: both were given.
            click.ClickException: what was given cannot be used.
        """
        if self.kubeconfig is not None and self.in_cluster:
            raise click.UsageError(
                f"--kubeconfig {self.kubeconfig} and --in-cluster exclude each other: leave one out"
            )
        if self.kubeconfig is not None:
            return _client("--kubeconfig", self.kubeconfig)
        return _client("--in-cluster") if self.in_cluster else None

    def needed(self) -> "Client":
        """As `open`, for a command that does nothing without one.

        Raises:
            click.UsageError: also where neither flag was given.
            click.ClickException: as `open`.
        """
        if api := self.open():
            return api
        raise click.UsageError("nothing says which cluster: give --kubeconfig FILE or --in-cluster")

    def open_or_home(self) -> "Client":
        """As `open`; where neither flag was given, the files are read that kubectl would read.

        Raises:
            click.ClickException: as `open`.
        """
        if api := self.open():
            return api
        named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
        if named:
            return _client("KUBECONFIG", *named)
        home = _HOME.expanduser()
        if not home.exists():
            raise click.ClickException(
                f"nothing says which cluster, and there is no {home}: give --kubeconfig FILE or --in-cluster"
            )
        return _client("--kubeconfig", home)


def _cluster_options(verb: str) -> Decorator:
    return grouped(
        "cluster",
        ClusterFlags,
        click.option(
            "--kubeconfig",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help=f"{verb} the cluster of this kubeconfig's current context.",
        ),
        click.option(
            "--in-cluster",
            is_flag=True,
            help=f"{verb} the cluster whose pod this is, with its service account.",
        ),
    )


cluster_options: Final = _cluster_options("Read")
"""Add --kubeconfig and --in-cluster; pass ``cluster``."""

watched_cluster_options: Final = _cluster_options("Watch")
"""The same, for a command that keeps what it has read up to date."""


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
