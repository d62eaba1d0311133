"""The flags of ``serve`` that switch CPU sets at binding on."""

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

POLICIES: Final = (FULL_PCPUS, SPREAD_BY_PCPUS)
STRATEGIES: Final = (MOST_ALLOCATED, LEAST_ALLOCATED)
_Command = Callable[..., Any]


class CpuSets(NamedTuple):
    """What the flags say."""

    lease: tuple[str, str] | None
    grace: int
    policy: str
    strategy: str

    def open(self, api: Client | None, source: Source, registry: CollectorRegistry) -> Bindings:
        """Return what gives CPU sets; raises click.UsageError where there is no cluster."""
        if api is None:
            raise click.UsageError("--cpusets needs a cluster: give --kubeconfig FILE or --in-cluster")
        from webhook.binding.service import BindingSettings
        from webhook.cpuset import BindPolicy, Strategy
        from webhook.kube.lease import Lease
        from webhook.server.service import open_bindings

        settings = BindingSettings(
            grace=float(self.grace), default=BindPolicy(self.policy), strategy=Strategy(self.strategy)
        )
        lease = Lease(api, *(self.lease or (api.access.namespace, CPUSET_LEASE)))
        return open_bindings(api, source, registry, settings, lease)


def cpusets_options(command: _Command) -> _Command:
    """Add --cpusets and what belongs to it; pass ``cpusets``, None where it is off."""

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
            help="Give LSE and LSR pods their CPUs when they are bound: answer POST /bind.",
        ),
        click.option(
            "--cpusets-lease",
            type=NamespacedName(),
            metavar="NAMESPACE/NAME",
            help="Lease by which replicas agree on which of them repairs CPU sets "
            f"[default: {CPUSET_LEASE} in the namespace of the service account or context].",
        ),
        click.option(
            "--cpusets-grace",
            type=click.IntRange(1, 3600),
            default=60,
            show_default=True,
            metavar="SECONDS",
            help="How long a pod may have CPUs without being bound: at least the API server's request time.",
        ),
        click.option(
            "--cpusets-policy",
            type=click.Choice(POLICIES),
            default=POLICIES[0],
            show_default=True,
            help="What a pod's bind policy Default, or none, means.",
        ),
        click.option(
            "--cpusets-strategy",
            type=click.Choice(STRATEGIES),
            default=STRATEGIES[0],
            show_default=True,
            help="Which NUMA nodes are filled first on nodes without a label for it.",
        ),
    )
    for option in reversed(options):
        given = option(given)
    return given
