"""What the agent on the node says by its metrics."""

from __future__ import annotations

import urllib.request
from typing import Final

SUPPRESSION: Final = "suppression_"
_ADDRESS: Final = "http://127.0.0.1:8083/metrics"
_PREFIX: Final = "colocation_webhook_agent_"


def metrics(kind: str = SUPPRESSION) -> dict[str, float]:
    """Those without labels whose names begin with this kind, by what follows."""
    with urllib.request.urlopen(_ADDRESS, timeout=5) as answer:
        text = answer.read().decode()
    prefix = f"{_PREFIX}{kind}"
    lines = (line.removeprefix(prefix).split() for line in text.splitlines() if line.startswith(prefix))
    return {name: float(value) for name, value in lines if "{" not in name}


def rounds() -> int:
    """In how many rounds the agent has compared cgroups with its plan since it started."""
    return int(metrics("cgroup_")["rounds_total"])
