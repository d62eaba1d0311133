"""The real kube-scheduler reads the chart's configuration, and what ``scheduler translate`` prints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.kubectl import Object
from tests.e2e.release.rendering import SCHEDULER, Helm
from tests.e2e.scheduling.conftest import SEED, translation
from webhook.scheduling.translation.stockplugins import ALL, MULTI_POINT, OPTIONAL, POINTS, STOCK
from webhook.scheduling.translation.translate import API_VERSION, KIND

OLD = Path(__file__).parents[2] / "data" / "old-scheduler-configuration.yaml"


def completed(cache: Path, folder: Path, configuration: dict[str, Any]) -> dict[str, Any]:
    """What kube-scheduler makes of a configuration, with its defaults; it calls nobody.

    It refuses a field or a plugin that it does not know.
    """
    cluster = {"clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}]}
    context = {"contexts": [{"name": "none", "context": {"cluster": "none"}}], "current-context": "none"}
    (folder / "kubeconfig").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Config", **cluster, **context})
    )
    connection = {**configuration.get("clientConnection", {}), "kubeconfig": str(folder / "kubeconfig")}
    given, written = folder / "given.yaml", folder / "written.yaml"
    written.unlink(missing_ok=True)
    given.write_text(json.dumps({**configuration, "clientConnection": connection}))
    flags = [f"--config={given}", f"--write-config-to={written}", "--secure-port=0"]
    command = [str(find("kube-scheduler", cache)), *flags, "--feature-gates=SchedulerPopFromBackoffQ=false"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 — ours
    assert written.exists(), done.stderr
    found: dict[str, Any] = yaml.safe_load(written.read_text())
    return found


def test_the_charts_configuration(cache: Path, tmp_path: Path) -> None:
    """It is read as it stands, the extender included; without the CA it is not."""
    (text,) = [
        each["data"]["scheduler.yaml"]
        for each in Helm(cache, tmp_path).render(SCHEDULER, "1.37.2")
        if each["kind"] == "ConfigMap" and "scheduler.yaml" in each["data"]
    ]
    configuration = yaml.safe_load(text)
    with pytest.raises(AssertionError, match=r"ca\.crt: no such file"):
        completed(cache, tmp_path, configuration)
    authority = tmp_path / "ca.crt"
    trustme.CA().cert_pem.write_to_path(authority)
    configuration["extenders"][0]["tlsConfig"]["caFile"] = str(authority)
    found = completed(cache, tmp_path, configuration)
    assert found["percentageOfNodesToScore"] == 100
    (extender,) = found["extenders"]
    verbs = [extender[f"{name}Verb"] for name in ("filter", "prioritize", "preempt")]
    assert verbs == ["filter", "prioritize", "preempt"]
    assert extender["nodeCacheCapable"]
    assert extender["ignorable"]
    assert extender["httpTimeout"] == "1s"
    assert [each["schedulerName"] for each in found["profiles"]] == ["koord-scheduler"]


def test_the_translated_configuration(translated: Object, cache: Path, tmp_path: Path) -> None:
    """Of the seed's ConfigMap comes a configuration that a stock scheduler reads; as it was, it does not."""
    found = completed(cache, tmp_path, translated["configuration"])
    (profile,) = found["profiles"]
    assert profile["schedulerName"] == "koord-scheduler"
    (fit,) = [each["args"] for each in profile["pluginConfig"] if each["name"] == "NodeResourcesFit"]
    scored = {each["name"]: each["weight"] for each in fit["scoringStrategy"]["resources"]}
    assert scored == {"cpu": 1, "memory": 1, "kubernetes.io/batch-cpu": 1, "kubernetes.io/batch-memory": 1}
    (original,) = yaml.safe_load(SEED.read_text())["data"].values()
    with pytest.raises(AssertionError, match="v1beta2"):
        completed(cache, tmp_path, yaml.safe_load(original))


def test_an_old_configuration(cache: Path, tmp_path: Path) -> None:
    """One with a lock, fields and plugins that are gone, and plugins where they cannot stand, is read."""
    found = completed(cache, tmp_path, translation(OLD)["configuration"])
    assert found["leaderElection"]["resourceLock"] == "leases"
    assert found["podMaxBackoffSeconds"] == 3
    (profile,) = found["profiles"]
    (weight,) = [
        each["weight"]
        for each in profile["plugins"]["score"]["enabled"]
        if each["name"] == "NodeResourcesFit"
    ]
    assert weight == 20
    with pytest.raises(AssertionError, match="v1beta2"):
        completed(cache, tmp_path, yaml.safe_load(OLD.read_text()))


def test_only_plugins_of_koordinators(cache: Path, tmp_path: Path) -> None:
    """What orders and binds pods is there, although a profile had nothing of a stock scheduler for it."""
    everywhere = {
        "enabled": [{"name": "Coscheduling"}, {"name": "NodeResourcesFit"}],
        "disabled": [{"name": "*"}],
    }
    old = tmp_path / "old.yaml"
    profile = {
        "schedulerName": "mine",
        "plugins": {"multiPoint": everywhere, "score": {"disabled": [{"name": "*"}]}},
    }
    old.write_text(json.dumps({"kind": KIND, "apiVersion": API_VERSION, "profiles": [profile]}))
    completed(cache, tmp_path, translation(old)["configuration"])


def test_the_plugins_that_a_stock_scheduler_has(cache: Path, tmp_path: Path) -> None:
    """The table of plugins and points is the real one's: it starts with all of them, and has no other."""

    def read(plugins: dict[str, Any]) -> Any:
        profile = {"schedulerName": "mine", "plugins": plugins}
        whole = {"kind": KIND, "apiVersion": API_VERSION, "profiles": [profile]}
        return completed(cache, tmp_path, whole)["profiles"][0]["plugins"]

    read({
        point: {
            "disabled": [{"name": ALL}],
            "enabled": [{"name": name} for name, points in STOCK.items() if point in points],
        }
        for point in POINTS
        if point != MULTI_POINT
    })  # fmt: skip
    default = {each["name"] for each in read({})[MULTI_POINT]["enabled"]}
    assert default <= STOCK.keys()
    assert STOCK.keys() - default <= OPTIONAL
    with pytest.raises(AssertionError, match="does not extend"):
        read({"filter": {"enabled": [{"name": "GangScheduling"}]}})
