"""Sets of profiles of any size, of which the same two apply to the measured pod."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MATCHING = (
    {
        "selector": {"matchLabels": {"spark-role": "executor"}},
        "qosClass": "BE",
        "priorityClassName": "koord-batch",
        "koordinatorPriority": 1000,
        "schedulerName": "koord-scheduler",
        "labels": {"koordinator.sh/mutated": "true"},
    },
    {
        "selector": {"matchExpressions": [{"key": "spark-app-name", "operator": "Exists"}]},
        "labels": {"team": "data"},
    },
)


def write_profiles(folder: Path, count: int) -> None:
    """Write ``count`` profiles into ``folder``: one that matches for 1, two for more.

    The others name what the pod has not: 60 % by matchLabels, 20 % by In, 10 % by Exists, 10 % by
    namespace alone.
    """
    matching = _MATCHING[: min(count, 2)]
    items = [_profile(f"matching-{number}", spec) for number, spec in enumerate(matching)]
    items += [_profile(f"other-{number:05}", _other(number)) for number in range(count - len(matching))]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    (folder / "profiles.json").write_text(json.dumps(document))


def _profile(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "config.koordinator.sh/v1alpha1",
        "kind": "ClusterColocationProfile",
        "metadata": {"name": name},
        "spec": spec,
    }


def _other(number: int) -> dict[str, Any]:
    changes = {"qosClass": "LS", "labels": {f"example.com/other-{number}": "true"}}
    tenth = number % 10
    if tenth < 6:
        return {"selector": {"matchLabels": {"app": f"service-{number}"}}, **changes}
    if tenth < 8:
        values = [f"service-{number}-{part}" for part in ("api", "worker", "cron")]
        expression = {"key": "spark-role", "operator": "In", "values": values}
        return {"selector": {"matchExpressions": [expression]}, **changes}
    if tenth < 9:
        return {
            "selector": {"matchExpressions": [{"key": f"example.com/{number}", "operator": "Exists"}]},
            **changes,
        }
    return {"namespaceSelector": {"matchLabels": {"tenant": f"tenant-{number}"}}, **changes}
