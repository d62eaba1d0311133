"""Out of the cluster, by a kubeconfig: a plugin, a token file, a proxy; and without the package."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.admission.test_spark_pods import FIGURES, REVIEWS, spark_pod
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation
from tests.e2e.release.readme import install
from tests.kube.fakeproxy import FakeProxy

KUBECONFIG = "--kubeconfig certs/kubeconfig"


@pytest.fixture
def outside(release: Installation) -> Iterator[Installation]:
    """The release without its webhook, which runs again as the README says afterwards."""
    release.stop()
    yield release
    release.stop()
    release.serve()


@pytest.fixture
def kubeconfig(outside: Installation) -> dict[str, Any]:
    """The README's own kubeconfig, to be changed."""
    config: dict[str, Any] = yaml.safe_load((outside.folder / "certs" / "kubeconfig").read_text())
    return config


def serve(outside: Installation, config: dict[str, Any]) -> None:
    """Serve by a kubeconfig until the webhook is ready."""
    path = outside.folder / "certs" / "other.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    command = install().serving.strip()
    assert KUBECONFIG in command
    outside.serve(command=command.replace(KUBECONFIG, f"--kubeconfig {path}"))


def assert_served(kubectl: Kubectl, namespace: str, name: str) -> None:
    """A Spark pod is changed."""
    pod = spark_pod(REVIEWS / "spark-operator-driver.json")
    pod["metadata"] |= {"namespace": namespace, "name": name}
    kubectl.create(pod)
    assert_be(kubectl.get("pod", name, namespace=namespace), FIGURES)


def user_of(config: dict[str, Any]) -> dict[str, Any]:
    """The only user."""
    (entry,) = config["users"]
    user: dict[str, Any] = entry["user"]
    return user


def test_an_exec_plugin(
    outside: Installation, kubeconfig: dict[str, Any], kubectl: Kubectl, namespace: str
) -> None:
    """Its token is used, it is asked as it said it wants to be, and once."""
    folder = outside.folder / "certs"
    user = user_of(kubeconfig)
    answer = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "status": {"token": user.pop("token")},
    }
    (folder / "answer").write_text(json.dumps(answer))
    (folder / "plugin").write_text(
        f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> {folder}/asked\ncat {folder}/answer\n'
    )
    (folder / "plugin").chmod(0o755)
    user["exec"] = {
        "apiVersion": answer["apiVersion"],
        "command": "./plugin",
        "interactiveMode": "Never",
        "provideClusterInfo": True,
    }
    serve(outside, kubeconfig)
    assert_served(kubectl, namespace, "by-a-plugin")
    asked = [json.loads(line) for line in (folder / "asked").read_text().splitlines()]
    (cluster,) = kubeconfig["clusters"]
    assert {each["spec"]["cluster"]["server"] for each in asked} == {cluster["cluster"]["server"]}
    assert {each["spec"]["interactive"] for each in asked} == {False}
    assert len(asked) == 1


def test_a_token_file(
    outside: Installation, kubeconfig: dict[str, Any], kubectl: Kubectl, namespace: str
) -> None:
    """Read again: a token that came later carries the calls, a file cut off in between costs nothing."""
    file = outside.folder / "certs" / "token"
    file.write_text(user_of(kubeconfig)["token"] + "\n")
    user_of(kubeconfig).clear()
    user_of(kubeconfig)["tokenFile"] = "token"
    serve(outside, kubeconfig)
    file.write_text("")
    assert_served(kubectl, namespace, "with-no-token")
    profile = next(yaml.safe_load_all((ROOT / "examples" / "objects" / "spark-demo.yaml").read_text()))
    profile["metadata"]["name"] = "of-the-token-file"
    kubectl.create(profile)
    try:
        eventually(
            lambda: kubectl.get("clustercolocationprofile", "of-the-token-file").get("status"),
            what="a status by the last good token",
        )
    finally:
        kubectl.delete("clustercolocationprofile", "of-the-token-file")


def test_a_proxy(outside: Installation, kubeconfig: dict[str, Any], kubectl: Kubectl, namespace: str) -> None:
    """Every call goes through it."""
    with FakeProxy() as proxy:
        (cluster,) = kubeconfig["clusters"]
        cluster["cluster"]["proxy-url"] = f"http://127.0.0.1:{proxy.port}"
        serve(outside, kubeconfig)
        assert_served(kubectl, namespace, "through-a-proxy")
        server = cluster["cluster"]["server"].removeprefix("https://")
        assert {asked for asked, _ in proxy.asked} == {f"CONNECT {server}"}
        outside.stop()


def test_without_the_package_it_says_what_is_missing(outside: Installation, tmp_path: Path) -> None:
    """A kubeconfig needs ``kubernetes``: one line and an end, not a service that can do nothing."""
    (tmp_path / "kubernetes.py").write_text("raise ImportError('taken away')\n")
    command = ["colocation-webhook", "serve", *KUBECONFIG.split(), "--no-tls"]
    done = subprocess.run(  # noqa: S603 — our own command
        command,
        cwd=outside.folder,
        env={**outside.env, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "read by the Python package 'kubernetes', which is not usable here (taken away)" in done.stderr
    assert done.stderr.count("\n") == 1
