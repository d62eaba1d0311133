"""``--cpusets`` and the other flags of CPU sets at binding."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from webhook.cli.options.declarations import grouped, lease_option, seconds_option
from webhook.cli.options.setterms import SetTermFlags, set_term_options
from webhook.protocol import CPUSET_LEASE

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from webhook.binding.service import Bindings
    from webhook.cluster.source import Source
    from webhook.kube.client import Client


@dataclasses.dataclass(frozen=True, slots=True)
class CpuSetFlags:
    """The values of the flags."""

    cpusets: bool
    cpusets_lease: tuple[str, str] | None
    cpusets_grace: int
    terms: SetTermFlags

    def open(self, api: Client | None, source: Source, registry: CollectorRegistry) -> Bindings | None:
        """Return the binding service, None without --cpusets; UsageError without an API server."""
        if not self.cpusets:
            return None
        if api is None:
            raise click.UsageError("--cpusets needs a cluster: give --kubeconfig FILE or --in-cluster")
        from webhook.server.service import open_bindings

        settings = dataclasses.replace(self.terms.read(), grace=float(self.cpusets_grace))
        return open_bindings(api, source, registry, settings, self.cpusets_lease)


cpusets_options = grouped(
    "cpusets",
    CpuSetFlags,
    click.option(
        "--cpusets",
        is_flag=True,
        help="Allocate CPU sets to LSE and LSR pods when they are bound: serve POST /bind.",
    ),
    lease_option("--cpusets-lease", CPUSET_LEASE, "Lease that elects the replica which repairs CPU sets"),
    seconds_option(
        "--cpusets-grace",
        kind=click.IntRange(1, 3600),
        default=60,
        text="How long a pod may hold CPUs before it is bound: at least the API server's timeout.",
    ),
    set_term_options,
)
"""Add --cpusets and the flags that belong to it; pass ``cpusets``."""
