"""The README's installation, in the cluster: what it leaves in the API server."""

from __future__ import annotations

import pytest

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation

pytestmark = pytest.mark.usefixtures("in_cluster")


def test_the_objects_are_there(bare: Installation, kubectl: Kubectl) -> None:
    """Every object of the release is stored by the API server."""
    assert "STATUS: deployed" in bare.helm("status", RELEASE)
    listed = bare.shell(
        f"helm -n {NAMESPACE} get manifest {RELEASE} | kubectl -n {NAMESPACE} get -o name -f -"
    )
    kinds = {line.split("/")[0].split(".")[0] for line in listed.split()}
    assert kinds >= {"deployment", "service", "serviceaccount", "clusterrole", "role", "poddisruptionbudget"}
    assert kinds >= {"mutatingwebhookconfiguration", "validatingwebhookconfiguration", "priorityclass"}
    assert kubectl.get("crd", "clustercolocationprofiles.config.koordinator.sh")


def test_the_example_profiles_are_there(in_cluster: dict[str, str], kubectl: Kubectl) -> None:
    """The hooks made them, the printer columns tell what they do, and they name no scheduler."""
    lines = in_cluster["opt in"].splitlines()
    header = next(line for line in lines if line.startswith("NAME"))
    assert header.split() == ["NAME", "QOS", "PRIORITYCLASS", "READY", "CONFLICTING", "AGE"]
    rows = {
        line.split()[0]: line.split()[1:3] for line in lines if line.startswith("spark-") and "BE" in line
    }
    assert rows == {"spark-demo": ["BE", "koord-batch"], "spark-submit": ["BE", "koord-batch"]}
    for name in rows:
        assert "schedulerName" not in kubectl.get("ccp", name)["spec"]


def test_the_deployment_makes_its_pods(kubectl: Kubectl) -> None:
    """The controllers accept the pods under the restricted Pod Security Standard, fixed to two replicas."""

    def pods() -> list[dict[str, object]]:
        found = kubectl.items("pods", namespace=NAMESPACE, selector="app.kubernetes.io/component=webhook")
        return found if len(found) == 2 else []

    for stored in eventually(pods, what="two pods of the Deployment"):
        spec = stored["spec"]
        assert isinstance(spec, dict)
        assert spec["priorityClassName"] == "system-cluster-critical"
        assert spec["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 8}}
        assert spec["terminationGracePeriodSeconds"] > 8 + 15


def test_the_pods_meet_the_restricted_standard(bare: Installation, kubectl: Kubectl) -> None:
    """A server dry run of enforcing the standard on the namespace warns of nothing."""
    del bare
    label = "pod-security.kubernetes.io/enforce=restricted"
    done = kubectl.run("label", "--dry-run=server", "--overwrite", "namespace", NAMESPACE, label)
    assert "Warning" not in done.stderr


def test_notes_say_what_to_do(in_cluster: dict[str, str]) -> None:
    """The notes name the check and the emergency command."""
    assert f"helm -n {NAMESPACE} test {RELEASE}" in in_cluster["install"]
    assert "colocation-webhook doctor" in in_cluster["install"]
    assert "kubectl delete mutatingwebhookconfigurations,validating" in in_cluster["install"]
    assert "Those that this release makes name no scheduler" in in_cluster["install"]
