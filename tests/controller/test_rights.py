"""The chart gives the controller the rights that it uses, and no other."""

import re
from pathlib import Path

import yaml

from tests.capacity.cluster import config, metric
from tests.controller.cluster import METRICS, Cluster, heard, taker_of
from tests.controller.evictions import Evictions
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.controller.withdrawal import withdraw

TEMPLATES = Path(__file__).parents[2] / "charts/colocation-webhook/templates"
VERBS = {"WATCH": "watch", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
MADE_BY_APPLY = {("nodeslos", "create")}
"""An apply that makes an object needs both rights."""


def given(name: str = "controller-rbac.yaml") -> set[tuple[str, str]]:
    """Resource and verb of each right in a template."""
    text = re.sub(r"^\{\{.*\}\}$", "", (TEMPLATES / name).read_text(), flags=re.MULTILINE)
    found = [each for each in yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "x", text)) if each]
    return {
        (resource, verb)
        for role in found
        for rule in role.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(api: FakeApi) -> set[tuple[str, str]]:
    """Resource and verb of each request that was made."""
    found = set()
    for method, path in api.requests:
        place = re.fullmatch(
            r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([^/]+)(/[^/]+)?(/status|/eviction)?", path
        )
        assert place is not None, path
        verb = VERBS.get(method) or ("get" if place[2] else "list")
        found.add((place[1] + (place[3] or ""), verb))
    return found


def test_the_rights_are_those_that_are_used(cluster: Cluster) -> None:
    """From the first NodeMetric to the withdrawal, everything that the controller does is done once."""
    cluster.controller.step()
    made = cluster.api.objects[METRICS]["", "node-1"]
    heard(cluster, {**metric(), "metadata": made["metadata"], "spec": made["spec"]})
    heard(cluster, config(metricReportIntervalSeconds=30))
    cluster.pass_seconds(11)
    cluster.controller.step()
    until(lambda: cluster.state.nodeslos.values)
    cluster.service._stop.set()
    assert withdraw(cluster.state, taker_of(cluster), cluster.service._stop) == ([], [])
    assert used(cluster.api) | MADE_BY_APPLY == given()


def test_the_rights_of_eviction() -> None:
    """What the evictor does, and its Events, are allowed, besides the Lease that both parts share."""
    leases = {("leases", verb) for verb in ("get", "create", "update")}
    assert leases < given()
    with FakeApi() as api:
        world = Evictions(api)
        world.pods("a")
        one = world.replica()
        world.short()
        one.step(world)
        world.wait(11)
        one.step(world)
        assert world.left() == set()
        # The evictor and the recorder are two: the latter is the one that agents and the binder use.
        events = {("events", "create"), ("events", "patch")}
        agents = {("nodeevictionrequests", "patch")}
        one.end()
        assert (used(api) - agents) | events == given("controller-eviction-rbac.yaml") | leases
