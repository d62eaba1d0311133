"""``--cpusets-policy`` and the other flags by which CPU sets are given; not where, nor for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from webhook.cli.options.declarations import choice_option, grouped, share_pool_option
from webhook.protocol import FULL_PCPUS, LEAST_ALLOCATED, MOST_ALLOCATED, SPREAD_BY_PCPUS

if TYPE_CHECKING:
    from webhook.binding.service import BindingSettings

_SHARE_POOL: Final = "--cpusets-share-pool"


class SetTermFlags(NamedTuple):
    """The values of the flags."""

    cpusets_policy: str
    cpusets_strategy: str
    cpusets_share_pool: str

    def read(self) -> BindingSettings:
        """Return them with the default time of grace; raises UsageError."""
        from webhook.binding.service import BindingSettings
        from webhook.cpuset.allocation import BindPolicy, Strategy
        from webhook.cpuset.errors import CpuSetError
        from webhook.cpuset.sharing import PoolLimit

        try:
            limit = PoolLimit.parse(self.cpusets_share_pool, field=_SHARE_POOL)
        except CpuSetError as error:
            raise click.UsageError(str(error)) from None
        policy, strategy = BindPolicy(self.cpusets_policy), Strategy(self.cpusets_strategy)
        return BindingSettings(default=policy, strategy=strategy, pool_limit=limit)


set_term_options: Final = grouped(
    "terms",
    SetTermFlags,
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
    share_pool_option(_SHARE_POOL),
)
"""Add --cpusets-policy, --cpusets-strategy and --cpusets-share-pool; pass ``terms``."""
