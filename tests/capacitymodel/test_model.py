"""What `capacity explain -o json` says is what a model of the specification says, to the milli-core."""

import ast
import datetime as dt
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capacitymodel.clusters import NOW, OURS, clusters, topologies
from tests.capacitymodel.model import recompute
from webhook.capacity.estimate import Before, estimate
from webhook.capacity.inventory import Inventory, inventory_of
from webhook.capacity.sloconfig import strategy_of
from webhook.cli.main import main

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "capacity"
SIZES = {"cpu": 3200, "memory": 12 * 2**30}
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def adds_up(found: dict[str, Any], resource: dict[str, Any]) -> bool:
    """Whether the terms of a sum come to what is offered, rounded down once in the end."""
    value = Fraction(0)
    for term in resource["terms"]:
        amount = Fraction(term["amount"])
        value = {
            "start": amount,
            "plus": value + amount,
            "minus": value - amount,
            "times": value * amount,
            "atMost": min(value, amount),
            "atLeast": max(value, amount),
        }[term["step"]]
    # Amounts with a fraction are floating point in JSON: a thousandth of a milli-core or byte, or less.
    return resource["offered"] is None or abs(value - resource["offered"]) < 2 or found["state"] == "off"


def assert_same(explained: dict[str, Any], model: dict[str, Any]) -> None:
    """State, figures, each pod's share and what zones could offer are the model's."""
    for each in explained["zones"]:
        # Parts of a pod are rounded up to a billionth: a milli-core or byte of the result, at most.
        assert 0 <= model["zones"][each["zone"]][each["resource"]] - each["offered"] <= 1, each
    assert len(explained["zones"]) == 2 * len(model["zones"])
    assert (explained["state"], explained["policy"]) == (model["state"], model["policy"])
    for each in explained["resources"]:
        ours = model["resources"][each["resource"]]
        assert each["offered"] == ours["offered"], each
        assert each["requested"] == ours["requested"]
        assert abs(each["used"] - ours["used"]) < Fraction(1, 1000)
        assert adds_up(explained, each), each
        shares = {f"{pod['namespace']}/{pod['name']}": pod["amount"] for pod in each["pods"]}
        assert shares.keys() == ours["pods"].keys()
        for key, amount in shares.items():
            assert abs(amount - ours["pods"][key]) < Fraction(1, 1000), (each, key)


def inventory(nodes: list[Any], pods: list[Any], metrics: list[Any], configmap: Any, *more: Any) -> Inventory:
    """Return the same objects, read by the webhook's own code."""
    return inventory_of([*more, *nodes, *pods, *metrics, *([configmap] if configmap else [])])


@pytest.mark.parametrize("policy", OURS)
@FEW
@given(data=st.data())
def test_explanations(policy: str, data: Any) -> None:
    """Of every node, under every policy, for any pods and metrics."""
    cluster = data.draw(clusters(policy))
    zones = [data.draw(topologies(each)) for each in cluster[0]]
    found, model = inventory(*cluster, *zones), recompute(*cluster, NOW, topologies=zones)
    for name in found.nodes:
        assert_same(found.explain(name, NOW).to_json(), model[name])


@st.composite
def published(draw: Any) -> tuple[dict[str, int], dict[str, dt.datetime], bool]:
    """Return what was published before, since when more was possible, and the band."""
    offered = {
        f"kubernetes.io/{of}-{resource}": draw(st.integers(0, 10 * size))
        for of in ("batch", "mid")
        for resource, size in SIZES.items()
        if draw(st.booleans())
    }
    since = {
        name: NOW - dt.timedelta(seconds=draw(st.integers(-300, 300)))
        for name in offered
        if draw(st.booleans())
    }
    return offered, since, draw(st.booleans())


@pytest.mark.parametrize("policy", OURS)
@FEW
@given(data=st.data(), last=published())
def test_what_follows_an_earlier_figure(policy: str, data: Any, last: tuple[Any, ...]) -> None:
    """A figure that grows is held, then raised in steps, as the model does it."""
    cluster = data.draw(clusters(policy))
    found = inventory(*cluster)
    offered, since, high = last
    before = {"offered": offered, "greaterSince": since, "highBand": high}
    model = recompute(*cluster, NOW, dict.fromkeys(found.nodes, before))
    for name, node in found.nodes.items():
        plan = strategy_of(found.configuration, node.labels, node.annotations)
        pods = found.pods.get(name, [])
        ours = estimate(node, found.metrics.get(name), pods, plan, NOW, Before(offered, since, high))
        for resource, figure in ours.figures.items():
            assert figure.offered == model[name]["resources"][resource]["offered"], resource
            assert figure.calculated == model[name]["resources"][resource]["calculated"], resource


def test_the_example() -> None:
    """The command says what the model does of examples/capacity."""
    arguments = ["capacity", "explain", "node-1", "--objects", str(EXAMPLE), "-o", "json"]
    explained = json.loads(CliRunner().invoke(main, arguments).output)
    kinds: dict[str, list[Any]] = {}
    for each in yaml.safe_load_all((EXAMPLE / "cluster.yaml").read_text()):
        kinds.setdefault(each["kind"], []).append(each)
    now = dt.datetime.fromisoformat(kinds["NodeMetric"][0]["status"]["updateTime"])
    now += dt.timedelta(seconds=explained["metricAgeSeconds"])
    topologies = kinds["NodeResourceTopology"]
    model = recompute(
        kinds["Node"], kinds["Pod"], kinds["NodeMetric"], kinds["ConfigMap"][0], now, topologies=topologies
    )
    assert_same(explained, model["node-1"])
    assert model["node-1"]["resources"]["kubernetes.io/batch-cpu"]["offered"] == 10200


def test_the_model_shares_no_code() -> None:
    """None of its modules imports the webhook's."""
    for path in (HERE / f"{name}.py" for name in ("facts", "strategies", "sums", "model")):
        for each in ast.walk(ast.parse(path.read_text())):
            names = [name.name for name in each.names] if isinstance(each, ast.Import) else []
            names += [each.module or ""] if isinstance(each, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "webhook"], path
