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
from tests.e2e.scheduling.conftest import SEED


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
