"""``--cpusets`` and the other flags of CPU sets at binding."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from webhook.cli.options.access import NamespacedName
from webhook.protocol import CPUSET_LEASE, FULL_PCPUS, LEAST_ALLOCATED, MOST_ALLOCATED, SPREAD_BY_PCPUS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from webhook.binding.service import Bindings
    from webhook.cluster.source import Source
    from webhook.kube.client import Client

_POLICIES: Final = (FULL_PCPUS, SPREAD_BY_PCPUS)
_STRATEGIES: Final = (MOST_ALLOCATED, LEAST_ALLOCATED)
_Command = Callable[..., Any]


class CpuSets(NamedTuple):
    """The values of the flags."""

    lease: tuple[str, str] | None
    grace: int
    policy: str
    strategy: str

    def open(self, api: Client | None, source: Source, registry: CollectorRegistry) -> Bindings:
        """Return the binding service; raises click.UsageError without an API server."""
        if api is None:
            raise click.UsageError("--cpusets needs a cluster: give --kubeconfig FILE or --in-cluster")
        from webhook.binding.service import BindingSettings
        from webhook.cpuset.allocation import BindPolicy, Strategy
        from webhook.kube.lease import Lease
        from webhook.server.service import open_bindings

        settings = BindingSettings(
            grace=float(self.grace), default=BindPolicy(self.policy), strategy=Strategy(self.strategy)
        )
        lease = Lease(api, *(self.lease or (api.access.namespace, CPUSET_LEASE)))
        return open_bindings(api, source, registry, settings, lease)


def cpusets_options(command: _Command) -> _Command:
    """Add --cpusets and the flags that belong to it; pass ``cpusets``, None without that flag."""

    @wraps(command)
    def given(
        *args: Any,  # noqa: ANN401 — the command's own
        cpusets: bool,
        cpusets_lease: tuple[str, str] | None,
        cpusets_grace: int,
        cpusets_policy: str,
        cpusets_strategy: str,
        **others: Any,  # noqa: ANN401 — as above
    ) -> Any:  # noqa: ANN401 — as above
        chosen = CpuSets(cpusets_lease, cpusets_grace, cpusets_policy, cpusets_strategy) if cpusets else None
        return command(*args, cpusets=chosen, **others)

    options = (
        click.option(
            "--cpusets",
            is_flag=True,
            help="Allocate CPU sets to LSE and LSR pods when they are bound: serve POST /bind.",
        ),
        click.option(
            "--cpusets-lease",
            type=NamespacedName(),
            metavar="NAMESPACE/NAME",
            help="Lease that elects the replica which repairs CPU sets "
            f"[default: {CPUSET_LEASE} in the namespace of the service account or context].",
        ),
        click.option(
            "--cpusets-grace",
            type=click.IntRange(1, 3600),
            default=60,
            show_default=True,
            metavar="SECONDS",
            help="How long a pod may hold CPUs before it is bound: at least the API server's timeout.",
        ),
        click.option(
            "--cpusets-policy",
            type=click.Choice(_POLICIES),
            default=_POLICIES[0],
            show_default=True,
            help="Bind policy of pods that have none, or Default.",
        ),
        click.option(
            "--cpusets-strategy",
            type=click.Choice(_STRATEGIES),
            default=_STRATEGIES[0],
            show_default=True,
            help="NUMA allocation strategy of nodes without a label for it.",
        ),
    )
    for option in reversed(options):
        given = option(given)
    return given
