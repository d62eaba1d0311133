"""The doctor, by the README's command, and as ``helm test`` runs it: with the hook's command and rights."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import pod, profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.readme import install

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
    assert not [line for line in found if re.search(r"not checked|\b403\b", line["message"])]


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


def test_the_readmes_last_command(release: Installation, batch_node: str) -> None:
    """The installation ends with the doctor, who finds nothing that does not work: it exits with 0."""
    del batch_node
    found = release.shell(install().examining)
    for subject in ("webhook configurations", "profiles", "schedulers", "nodes", "Koordinator's webhook"):
        assert re.search(rf"^[✓!] {subject}: ", found, re.MULTILINE), found
    assert "✗" not in found


def test_why_a_pod_is_pending(release: Installation, kubectl: Kubectl, namespace: str) -> None:
    """A pod that waits for batch resources has the README's event; one without a scheduler has none."""
    label = f"waiting-{secrets.token_hex(4)}"
    kubectl.create(profile(label, selector={"matchLabels": {label: "yes"}}, schedulerName="absent-scheduler"))
    command = install().examining.strip()

    def make(name: str, labels: dict[str, str]) -> None:
        made = pod(name, labels)
        made["metadata"]["namespace"] = namespace
        (of_main,) = made["spec"]["containers"]
        of_main["resources"] = {side: {"cpu": "100k", "memory": "1Gi"} for side in ("requests", "limits")}
        assert kubectl.create(made)["status"]["phase"] == "Pending"

    def messages(name: str) -> str:
        found = kubectl.items("events", namespace=namespace)
        return " ".join(each["message"] for each in found if each["involvedObject"]["name"] == name)

    try:
        eventually(lambda: "absent-scheduler" in doctor(release, command), what="the profile")
        make("too-large", {"spark-role": "driver"})
        make("unscheduled", {label: "yes"})
        eventually(lambda: "Insufficient kubernetes.io/batch-cpu" in messages("too-large"), what="an event")
        assert messages("unscheduled") == ""
        assert "✗ schedulers: absent-scheduler" in doctor(release, command)
    finally:
        kubectl.delete("ccp", label)


def doctor(release: Installation, command: str) -> str:
    """What the README's command prints in a cluster where something does not work: it exits with 1."""
    printed = release.shell(f'{command} && code=0 || code=$?; echo "exit status $code"')
    assert "exit status 1" in printed, printed
    return printed


def test_the_pod_is_accepted(kubectl: Kubectl, hooks: list[Object], account: str) -> None:
    """The API server takes the hook's pod, with its account."""
    del account
    (pod,) = [each for each in hooks if each["kind"] == "Pod"]
    assert kubectl.create(pod, dry_run=True)["spec"]["serviceAccountName"] == DOCTOR


def binding(kind: str, role: str, account: str, namespace: str) -> Object:
    """Bind a default role to an account, in its namespace or in the whole cluster."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": account} | ({"namespace": namespace} if kind == "RoleBinding" else {})
    return {
        "apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "role"),
    [("RoleBinding", "edit"), ("ClusterRoleBinding", "view"), ("ClusterRoleBinding", "edit")],
)
def test_what_few_rights_show(
    release: Installation,
    kubectl: Kubectl,
    namespace: str,
    tmp_path: Path,
    kind: str,
    role: str,
) -> None:
    """One line names all rights that lack; the pods of the namespace are shown, and profiles to viewers."""
    reads_profiles = kind == "ClusterRoleBinding"  # they are no objects of a namespace
    account = f"{role}-{secrets.token_hex(3)}"
    kubectl.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}},
        binding(kind, role, account, namespace),
    )
    kubeconfig = tmp_path / "kubeconfig"
    kubectl.account(account, namespace=namespace, kubeconfig=kubeconfig)

    def examined() -> str:
        command = f"colocation-webhook doctor --kubeconfig {kubeconfig}"
        return release.shell(f'{command} && code=0 || code=$?; echo "exit status $code"')

    def said() -> bool:  # the roles are aggregated by a controller
        return ("list clustercolocationprofiles" not in examined()) is reads_profiles

    eventually(said, what="the aggregated role")
    shown = examined()
    assert "exit status 1" in shown
    assert len(re.findall(r"^✗ rights: not checked: ", shown, re.MULTILINE)) == 1
    assert "list mutatingwebhookconfigurations" in shown
    assert re.search(rf"^✓ namespace {namespace}: \d+ of \d+ pods were changed", shown, re.MULTILINE)
    assert bool(re.search(r"^[✓!] profiles: ", shown, re.MULTILINE)) is reads_profiles
    if reads_profiles:
        kubectl.delete("clusterrolebinding", account)
