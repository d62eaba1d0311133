"""NodeMetrics: made for each node, and how they are to be measured; agents fill them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from webhook.capacity.strategy import Strategy
from webhook.controller.caches import KnownNode
from webhook.controller.state import NODEMETRICS, State
from webhook.kube.client import MERGE_PATCH, ApiError
from webhook.kube.ownerreferences import owned_by_node
from webhook.kube.paths import member
from webhook.pods.durations import format_duration
from webhook.protocol import (
    CAPACITY_MANAGER,
    LABEL_MANAGED_BY,
    NODEMETRIC_API_VERSION,
    NODEMETRIC_KIND,
    NODEMETRIC_RESOURCE,
)


def keep_nodemetric(watched: State, node: KnownNode, strategy: Strategy) -> None:
    """Create a node's NodeMetric, or bring its policy up to date; raises ApiError."""
    name, policy = node.node.name, _collect_policy(strategy)
    known = watched.metrics.values.get(("", name))
    if known is None and not watched.serves(NODEMETRIC_RESOURCE):
        return
    if known is None:
        body = {
            "apiVersion": NODEMETRIC_API_VERSION,
            "kind": NODEMETRIC_KIND,
            "metadata": {
                "name": name,
                "labels": {LABEL_MANAGED_BY: CAPACITY_MANAGER},
                "ownerReferences": owned_by_node(name, node.uid),
            },
            "spec": {"metricCollectPolicy": policy},
        }
        try:
            watched.api.call("POST", NODEMETRICS, body=body)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:  # the watch has not brought it yet
                raise
    elif {key: known.policy.get(key) for key in policy} != policy:
        change = {"spec": {"metricCollectPolicy": policy}}
        watched.api.call("PATCH", member(NODEMETRICS, name), body=change, content_type=MERGE_PATCH)


def _collect_policy(strategy: Strategy) -> Mapping[str, Any]:
    """Return what a NodeMetric says of how to measure."""
    values = strategy.values
    durations = [format_duration(each.total_seconds()) for each in values["metricAggregatePolicy"]]
    return {
        "aggregateDurationSeconds": values["metricAggregateDurationSeconds"],
        "reportIntervalSeconds": values["metricReportIntervalSeconds"],
        "nodeAggregatePolicy": {"durations": durations},
        "nodeMemoryCollectPolicy": values["metricMemoryCollectPolicy"],
    }
