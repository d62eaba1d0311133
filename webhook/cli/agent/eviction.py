"""The options of ``agent`` by which it asks for evictions, and says what becomes of pods that do not go."""

from typing import Final, NamedTuple

import click

from webhook.cli.options.declarations import grouped

_MOST_SECONDS: Final = 86_400


class EvictionFlags(NamedTuple):
    """Whether evictions are asked for, and after how many seconds processes are killed, 0: never."""

    ask_evictions: bool
    kill_after: int

    def check(self, mode: str) -> None:
        """Refuse what does not go together."""
        if self.kill_after and not (self.ask_evictions and mode == "enforce"):
            raise click.UsageError(
                "--kill-after goes with --ask-evictions, whose figures it needs, and with --mode enforce"
            )


eviction_options = grouped(
    "eviction",
    EvictionFlags,
    click.option(
        "--ask-evictions",
        is_flag=True,
        help="Ask for evictions of BE pods by a NodeEvictionRequest, where the NodeSLO says when.",
    ),
    click.option(
        "--kill-after",
        type=click.IntRange(0, _MOST_SECONDS),
        default=0,
        metavar="SECONDS",
        help="Kill a BE pod that was asked to end so long ago while the node is short of memory; 0: never.",
    ),
)
"""Add the options; pass ``eviction``."""
