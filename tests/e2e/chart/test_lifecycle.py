"""Upgrade, rollback, uninstall; an upgrade from the chart as it was before."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, RefusedError
from tests.e2e.cluster.objects import assert_be, pod
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation
from tests.e2e.release.readme import install

CONFIGURATIONS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"


def timeout_of(kubectl: Kubectl) -> int:
    """The timeout in the stored mutating configuration."""
    (webhook,) = kubectl.get("mutatingwebhookconfiguration", RELEASE)["webhooks"]
    return int(webhook["timeoutSeconds"])


def colocated(kubectl: Kubectl, namespace: str) -> None:
    """A pod is colocated now."""
    made = pod("probe")
    made["metadata"]["namespace"] = namespace
    assert_be(kubectl.create(made, dry_run=True))


def git(*arguments: str) -> bytes:
    """What git says of the repository of the tests."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603, S607


@pytest.fixture(scope="module")
def earlier_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as it was before its last change: in the last commit, or before what is not committed yet."""
    path = CHART.relative_to(ROOT).as_posix()
    dirty = bool(git("status", "--porcelain", "--", path).strip())
    commits = git("log", "--format=%H", "--", path).decode().split()
    assert len(commits) > 1 or dirty, "the history has one version of the chart only: is the clone shallow?"
    folder = tmp_path_factory.mktemp("earlier")
    archive = git("archive", commits[0 if dirty else 1], "--", path)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / path


def reinstall(release: Installation, chart: Path, *flags: str) -> str:
    """Install a chart for the webhook out of the cluster."""
    return release.helm(
        "install",
        RELEASE,
        str(chart),
        "--set=exampleProfiles.create=true",
        f"--set=webhook.url=https://localhost:{release.port}",
        *flags,
    )


def test_upgrade_and_rollback(release: Installation, kubectl: Kubectl, namespace: str) -> None:
    """Values change and change back; pods are colocated at every moment."""
    assert timeout_of(kubectl) == 3
    release.helm(
        "upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", "--set=webhook.mutating.timeoutSeconds=5"
    )
    assert timeout_of(kubectl) == 5
    colocated(kubectl, namespace)
    release.helm("rollback", RELEASE)
    assert timeout_of(kubectl) == 3
    colocated(kubectl, namespace)


def test_profiles_are_the_users(release: Installation, kubectl: Kubectl) -> None:
    """An upgrade leaves an example profile as its user changed it."""
    change = '{"metadata":{"labels":{"mine":"yes"}},"spec":{"koordinatorPriority":1234}}'
    kubectl.run("patch", "ccp", "spark-demo", "--type=merge", "-p", change)
    release.helm("upgrade", RELEASE, str(CHART), "--reuse-values")
    assert kubectl.get("ccp", "spark-demo")["spec"]["koordinatorPriority"] == 1234


def test_contradictions_are_refused_before_anything_happens(release: Installation) -> None:
    """Values that contradict each other, or that nobody knows, end an upgrade with the remedy."""
    for values, words in (
        ("certificates.source=secret", "--set-file certificates.caBundle="),
        ("certificates.caBundle=-----BEGIN CERTIFICATE-----", "--set certificates.source=secret"),
        ("certificates.source=certManager", "exclude each other"),
        ("webhook.clientCA=-----BEGIN CERTIFICATE----------END CERTIFICATE-----", "--client-ca FILE"),
        ("webhook.clientCA=clients.crt", "clientCA"),
        ("mode=strict", "'enforce', 'audit'"),
        ("eviction.killAfterSeconds=60", "agent.mode=enforce"),
        ("replicas=3", "'replicas' not allowed"),
        ("webhook.mutating.timeoutSeconds=30", "30"),
    ):
        with pytest.raises(AssertionError, match=words):
            release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", f"--set={values}")


def test_the_emergency_command(
    release: Installation, kubectl: Kubectl, new_namespace: Callable[..., str]
) -> None:
    """The README's command switches the webhook off; the next upgrade switches it on again."""
    readme = (ROOT / "README.md").read_text()
    kinds = CONFIGURATIONS.replace("configurations", "configuration")
    command = f"kubectl delete {kinds} -l app.kubernetes.io/name=colocation-webhook"
    for text in (readme, (CHART / "README.md").read_text()):
        assert f"\n{command}\n" in text, "a line of its own, to be copied"
    place = new_namespace({"koordinator.sh/enable-colocation": "true"})
    colocated(kubectl, place)
    release.shell(command)

    def off() -> bool:
        made = pod("probe")
        made["metadata"]["namespace"] = place
        return "cpu" in kubectl.create(made, dry_run=True)["spec"]["containers"][0]["resources"]["limits"]

    eventually(off, what="switched off")
    release.helm("upgrade", RELEASE, str(CHART), "--reuse-values")
    eventually(lambda: colocated(kubectl, place) is None, what="switched on")


def test_uninstall(release: Installation, kubectl: Kubectl) -> None:
    """No webhook configuration, role or account stays; definition, profiles and PriorityClasses do."""
    before = {each["metadata"]["name"] for each in kubectl.items("ccp")}
    release.helm("uninstall", RELEASE, "--wait")
    selector = f"app.kubernetes.io/instance={RELEASE}"
    gone = f"{CONFIGURATIONS},clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,services"
    assert kubectl.run("-n", NAMESPACE, "get", gone, "-o", "name", "-l", selector).stdout == ""
    assert {each["metadata"]["name"] for each in kubectl.items("ccp")} == before
    assert before >= {"spark-demo", "spark-submit"}
    assert kubectl.get("priorityclass", "koord-batch")["value"] == 5000
    assert kubectl.get("ccp", "spark-demo")["metadata"]["labels"]["mine"] == "yes"


def test_beside_koordinators_definition(release: Installation, kubectl: Kubectl) -> None:
    """What another release brought is not taken from it; values leave the definition and the classes out."""
    brought = [("crd", "clustercolocationprofiles.config.koordinator.sh"), ("priorityclass", "koord-batch")]

    def belongs_to(owner: str) -> None:
        for kind, name in brought:
            kubectl.run("annotate", kind, name, "--overwrite", f"meta.helm.sh/release-name={owner}")

    belongs_to("koordinator")
    try:
        with pytest.raises(AssertionError, match="invalid ownership metadata"):
            reinstall(release, CHART, "--dry-run=server")
        few = ("--set=crds.install=false", "--set=priorityClasses.create=false")
        assert "STATUS" in reinstall(release, CHART, "--dry-run=server", *few)
    finally:
        belongs_to(RELEASE)


def test_upgrade_from_the_earlier_chart(
    release: Installation, kubectl: Kubectl, namespace: str, earlier_chart: Path
) -> None:
    """What an uninstall kept is taken over again; an upgrade keeps a certificate of one's own, or ends it."""
    release.shell("colocation-webhook certs init")
    own = ("--set=certificates.source=secret", "--set-file=certificates.caBundle=certs/ca.crt")
    reinstall(release, earlier_chart, *own)
    # The account is a new one: the README's commands, but for the upgrade they begin with, make a new token.
    upgrade, tokens = re.split(r"(?<!\\)\n", install().pointing_out, maxsplit=1)
    assert upgrade.startswith("helm ")
    release.stop()
    release.shell(tokens)
    of_managed = r"--(manage-certificates|certificate-name|webhook-configuration) \S+ "
    release.serve(command=re.sub(of_managed, "", install().serving.strip()))
    eventually(lambda: colocated(kubectl, namespace) is None, what="colocated with the earlier chart")
    # As the README says; the values of the earlier chart, the defaults of this one.
    release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values")
    eventually(lambda: colocated(kubectl, namespace) is None, what="colocated with this chart")
    assert kubectl.get("ccp", "spark-demo")["metadata"]["labels"]["mine"] == "yes"
    with pytest.raises(RefusedError):
        kubectl.get("deployment", RELEASE, namespace=NAMESPACE)
    handed_over = ("--set=certificates.source=managed", "--set=certificates.caBundle=")
    release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", *handed_over)
    release.stop()
    release.serve()
    eventually(lambda: colocated(kubectl, namespace) is None, what="colocated with managed certificates")
