"""``--cpusets`` and the other flags of CPU sets at binding."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from webhook.cli.options.declarations import (
    choice_option,
    grouped,
    lease_option,
    seconds_option,
    share_pool_option,
)
from webhook.protocol import CPUSET_LEASE, FULL_PCPUS, LEAST_ALLOCATED, MOST_ALLOCATED, SPREAD_BY_PCPUS

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
    cpusets_policy: str
    cpusets_strategy: str
    cpusets_share_pool: str

    def open(self, api: Client | None, source: Source, registry: CollectorRegistry) -> Bindings | None:
        """Return the binding service, None without --cpusets; UsageError without an API server."""
        if not self.cpusets:
            return None
        if api is None:
            raise click.UsageError("--cpusets needs a cluster: give --kubeconfig FILE or --in-cluster")
        from webhook.binding.service import BindingSettings
        from webhook.cpuset.allocation import BindPolicy, Strategy
        from webhook.cpuset.errors import CpuSetError
        from webhook.cpuset.sharing import PoolLimit
        from webhook.server.service import open_bindings

        try:
            pool_limit = PoolLimit.parse(self.cpusets_share_pool, field="--cpusets-share-pool")
        except CpuSetError as error:
            raise click.UsageError(str(error)) from None
        settings = BindingSettings(
            float(self.cpusets_grace),
            BindPolicy(self.cpusets_policy),
            Strategy(self.cpusets_strategy),
            pool_limit,
        )
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
    choice_option(
        "--cpusets-policy",
        choices=(FULL_PCPUS, SPREAD_BY_PCPUS),
        text="Bind policy of pods that have none, or Default.",
    ),
    choice_option(
        "--cpusets-strategy",
        choices=(MOST_ALLOCATED, LEAST_ALLOCATED),
        text="NUMA allocation strategy of nodes without a label for it.",
    ),
    share_pool_option("--cpusets-share-pool"),
)
"""Add --cpusets and the flags that belong to it; pass ``cpusets``."""
