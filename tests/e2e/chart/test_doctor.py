"""The doctor, as ``helm test`` runs it: the hook's command and the hook's rights, as a process."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import profile
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation

DOCTOR = f"{RELEASE}-doctor"


@pytest.fixture(scope="module")
def hooks(release: Installation) -> list[Object]:
    """The objects that ``helm test`` would make, as the installed release has them."""
    return [each for each in yaml.safe_load_all(release.helm("get", "hooks", RELEASE)) if each]


@pytest.fixture(scope="module")
def account(kubectl: Kubectl, hooks: list[Object]) -> Iterator[str]:
    """The hook's account, with its roles; the pod itself would need a kubelet."""
    made = [each for each in hooks if each["metadata"]["name"] == DOCTOR and each["kind"] != "Pod"]
    assert [each["kind"] for each in made].count("ServiceAccount") == 1
    for each in made:
        kubectl.apply(each)
    yield DOCTOR
    kubectl.delete("clusterrole,clusterrolebinding", DOCTOR)
    kubectl.delete("serviceaccount,role,rolebinding", DOCTOR, namespace=NAMESPACE)


@pytest.fixture
def examine(
    release: Installation,
    kubectl: Kubectl,
    hooks: list[Object],
    account: str,
    tmp_path: Path,
) -> Callable[[], list[dict[str, str]]]:
    """Run the pod's command with the account's token, and return the findings by subject."""
    kubeconfig = tmp_path / "kubeconfig"
    kubectl.account(account, namespace=NAMESPACE, kubeconfig=kubeconfig)
    (pod,) = [each for each in hooks if each["kind"] == "Pod"]
    instead = {"--in-cluster": f"--kubeconfig={kubeconfig}"}
    arguments = [instead.get(each, each) for each in pod["spec"]["containers"][0]["args"]]
    assert instead["--in-cluster"] in arguments

    def run() -> list[dict[str, str]]:
        done = subprocess.run(  # noqa: S603 — the hook's own command
            ["colocation-webhook", *arguments, "--output=json"],  # noqa: S607 — of the environment under test
            env=release.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in {0, 1}, done.stderr
        found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
        return found

    return run


def verdicts(found: list[dict[str, str]], subject: str) -> set[str]:
    """The verdicts on a subject."""
    return {line["verdict"] for line in found if line["subject"] == subject}


def test_what_works(examine: Callable[[], list[dict[str, str]]]) -> None:
    """Configurations, certificate and neighbours are found to be in order, with the hook's rights."""
    found = examine()
    for subject in ("webhook configurations", "serving certificate", "Koordinator's webhook"):
        assert verdicts(found, subject) == {"ok"}, found
    # A port may have these digits, too.
    assert not [line for line in found if re.search(r"cannot be checked|\b403\b", line["message"])]


def test_what_is_missing(kubectl: Kubectl, examine: Callable[[], list[dict[str, str]]]) -> None:
    """Each thing that a cluster may lack has a line, and each such line a remedy."""
    kubectl.create(
        profile("names-a-scheduler", selector={"matchLabels": {"app": "x"}}, schedulerName="absent-scheduler")
    )
    try:
        found = examine()
    finally:
        kubectl.delete("ccp", "names-a-scheduler")
    lines = [
        line for line in found if line["subject"] == "schedulers" and "absent-scheduler" in line["message"]
    ]
    assert [line["verdict"] for line in lines] == ["error"], found
    assert all(line["remedy"] for line in found if line["verdict"] != "ok")


def test_nodes(kubectl: Kubectl, batch_node: str, examine: Callable[[], list[dict[str, str]]]) -> None:
    """With a node that advertises batch resources all is well; without one the doctor says so."""
    assert verdicts(examine(), "nodes") == {"ok"}
    kept = kubectl.get("node", batch_node)["status"]
    bare = {name: figure for name, figure in kept["capacity"].items() if "batch" not in name}
    patch_status(kubectl, batch_node, bare)
    try:
        lines = [line for line in examine() if line["subject"] == "nodes"]
    finally:
        patch_status(kubectl, batch_node, kept["capacity"])
    assert any(line["verdict"] != "ok" and "batch" in line["message"] for line in lines), lines


def patch_status(kubectl: Kubectl, node: str, capacity: dict[str, str]) -> None:
    """Write what a node has to give."""
    operations = [
        {"op": "replace", "path": f"/status/{name}", "value": capacity}
        for name in ("capacity", "allocatable")
    ]
    kubectl.run("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(operations))


def test_the_pod_is_accepted(kubectl: Kubectl, hooks: list[Object], account: str) -> None:
    """The API server takes the hook's pod, with its account."""
    del account
    (pod,) = [each for each in hooks if each["kind"] == "Pod"]
    assert kubectl.create(pod, dry_run=True)["spec"]["serviceAccountName"] == DOCTOR
