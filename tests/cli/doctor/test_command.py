"""What the doctor says of clusters in which this and that does not work."""

import pytest
import yaml

from tests.cli.doctor.builders import LEASES, MUTATING, NODES, VALIDATING


def test_a_cluster_in_which_everything_works(doctor, run, tmp_path):
    """Every check is ticked; the text ends with a line that says so."""
    code, found = doctor()
    assert (code, found["warning"], found["error"]) == (0, "", "")
    for subject in (
        *("webhook configurations", "serving certificate", "view of the cluster", "profiles"),
        *("schedulers", "extender", "nodes", "publishers", "bindings", "Koordinator's webhook", "fail-open"),
    ):
        assert f"{subject}: " in found["ok"]
    text = run("doctor", "--kubeconfig", tmp_path / "kubeconfig").output
    assert text.endswith("✓ no problems found\n")


def test_a_cluster_that_cannot_be_reached(doctor, cluster, run, tmp_path):
    """One error, and exit status 1: nothing was seen."""
    cluster.stop()
    code, found = doctor()
    cluster.start()
    assert (code, found["ok"], found["warning"], found["error"].count("\n")) == (1, "", "", 0)
    assert "API server: nothing can be checked" in found["error"]
    assert "make sure that the API server can be reached" in found["error"]
    result = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "--in-cluster")
    assert (result.exit_code, "exclude each other" in result.output) == (2, True)


def test_credentials_that_are_not_accepted(doctor, cluster):
    """One error, too."""
    for path in (MUTATING, VALIDATING):
        cluster.failures["GET", path] = [(401, {"message": "Unauthorized"})] * 9
    code, found = doctor()
    assert (code, found["error"].count("\n")) == (1, 0)
    assert "log in again" in found["error"]


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_other_failures_are_one_line_a_cause(doctor, cluster, status):
    """What works is examined; the two that fail for one reason are named together."""
    for path in (NODES, LEASES):
        cluster.failures["GET", path] = [(status, {"message": "the reason"})] * 9
    code, found = doctor()
    assert code == 1
    assert "profiles: 1 of 1 are ready" in found["ok"]
    assert found["error"].count("\n") <= 1
    assert {"schedulers", "nodes"} <= set(found["error"].replace(",", " ").replace(":", " ").split())


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_findings_for_machines(run, doctor, tmp_path, form):
    """The same in both forms."""
    doctor()
    text = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "-o", form).output
    assert {each["verdict"] for each in yaml.safe_load(text)["findings"]} == {"ok"}
