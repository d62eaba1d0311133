"""The options of ``agent`` for metrics at a second address."""

from typing import TYPE_CHECKING, NamedTuple

import click

from webhook.cli.options.declarations import grouped
from webhook.cli.options.listening import Address, listen_on

if TYPE_CHECKING:
    from webhook.agent.service import SecondAddress


class MetricsFlags(NamedTuple):
    """Where metrics are served once more; None: nowhere."""

    metrics_bind: str | None
    metrics_path: str

    def listen(self) -> "SecondAddress | None":
        """Return the address, listening."""
        from webhook.agent.service import SecondAddress

        if self.metrics_bind is None:
            return None
        return SecondAddress(listen_on("--metrics-bind", self.metrics_bind), self.metrics_path)


def _flags(*, metrics_bind: str | None, metrics_path: str) -> MetricsFlags:
    if not metrics_path.startswith("/"):
        raise click.UsageError(f"--metrics-path {metrics_path}: write for example /actuator/prometheus")
    return MetricsFlags(metrics_bind, metrics_path)


metrics_options = grouped(
    "metrics",
    _flags,
    click.option(
        "--metrics-bind",
        type=Address(),
        metavar="HOST:PORT",
        help="Where metrics answer once more, at --metrics-path.",
    ),
    click.option(
        "--metrics-path",
        default="/actuator/prometheus",
        show_default=True,
        metavar="PATH",
        help="Path of the metrics at --metrics-bind.",
    ),
)
"""Add the options; pass ``metrics``."""
