"""What happens while online load doubles, second by second: printed for docs/agent.md.

``python -m tests.agent.suppression.record`` prints the table.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.agent.plan.builders import batch
from tests.agent.suppression.world import SuppressedWorld
from webhook.cpuset.cpulist import format_cpulist

LOADS = {0: 4.0, 1: 6.0, **dict.fromkeys(range(2, 11), 8.0), 11: 4.0, 12: 4.0, 13: 4.0}
"""Cores that the LS pod used in the second before: it doubles in the middle of one, and later falls."""

HEAD = (
    "| second | the LS pod used | budget, in milli-cores | BE's CPUs | which | files written |",
    "|---|---|---|---|---|---|",
)


def rows(root: Path) -> list[str]:
    """Return the table: seed 004's node, 16 CPUs at 65 percent, two BE pods."""
    world = SuppressedWorld(root)
    world.add("lse", "LSE", cpus=2, set_="0-1")
    world.add("lsr", "LSR", cpus=2, set_="2-3")
    world.add("ls", "LS")
    for name in ("be", "second"):
        world.add(name, "BE", containers=[batch("4000", "64Mi")])
    world.used.pods = {"ls": LOADS[0], "be": 3.0, "second": 3.0}
    world.rounds()
    found = []
    for second, used in LOADS.items():
        world.used.pods["ls"] = used
        before = len(world.lines())
        world.round()
        state = world.suppressor.state
        assert state is not None
        assert state.budget is not None
        cpus = world.cpus("be")
        assert cpus == world.cpus("second")
        written = len(world.lines()) - before
        found.append(
            f"| {second} | {used:.1f} | {state.budget.amount} | {len(cpus)} | `{format_cpulist(cpus)}` "
            f"| {written or 'none'} |"
        )
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write("\n".join([*HEAD, *rows(Path(folder))]) + "\n")
