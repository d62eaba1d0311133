"""What a person sees of managed certificates, and the flags that ask for them."""

import dataclasses
import datetime as dt

import pytest
import yaml
from click.testing import CliRunner

from tests.certificates.conftest import KEY, SECRETS, Cluster
from webhook.cli.main import main
from webhook.cli.options.clock import Clock

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@pytest.fixture
def cluster():
    """A cluster in which a replica has made its certificates."""
    with Cluster() as running:
        running.configure()
        rotator = running.rotator()
        for _ in range(4):
            rotator.reconcile()
        yield running


@pytest.fixture
def certs(cluster, tmp_path):
    """Run ``certs`` against the cluster, at NOW; status and output."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.port}"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))

    def run(*arguments):
        result = CliRunner().invoke(
            main,
            ["certs", *arguments, "--kubeconfig", str(tmp_path / "kubeconfig")],
            obj=Clock(lambda: NOW),
        )
        return result.exit_code, result.output

    return run


def test_show_lists_the_certificates(certs, cluster):
    """Names and ends, and how far a rotation is."""
    code, text = certs("show", "home/kept")
    assert code == 0
    assert text.splitlines() == [
        "home/kept, revision 1",
        "  certificate for hook.home.svc: until 2027-11-20, 365 days from now",
        "  its CA: until 2036-11-17, 3650 days from now",
    ]
    for form in ("json", "yaml"):
        shown = yaml.safe_load(certs("show", "home/kept", "-o", form)[1])
        assert (shown["secret"], shown["names"], shown["requested"]) == ("home/kept", ["hook.home.svc"], None)
        assert {role: str(end)[:10] for role, end in shown["expire"].items()} == {
            "certificate": "2027-11-20", "ca": "2036-11-17",
        }  # fmt: skip
    rotator = cluster.rotator()
    assert certs("rotate", "home/kept", "--ca")[0] == 0
    assert "requested, not begun yet: a new ca" in certs("show", "home/kept")[1]
    rotator.reconcile()
    assert "the next CA, not in use yet: until" in certs("show", "home/kept")[1]
    for _ in range(3):
        rotator.reconcile()
    cluster.seconds += 61
    rotator.reconcile()
    assert "the previous CA, still trusted: until" in certs("show", "home/kept")[1]


def test_rotate_asks_for_a_leaf_by_default(certs, cluster):
    """An annotation of the Secret, which the replicas act on."""
    code, text = certs("rotate", "home/kept")
    assert (code, text) == (0, "requested a new certificate: see 'certs show home/kept'\n")
    assert cluster.secret["metadata"]["annotations"]["colocation-webhook.io/rotate"] == "leaf"


def test_a_missing_or_invalid_secret_is_an_error(certs, cluster):
    """With what to do about it."""
    code, text = certs("show", "home/other")
    assert (code, "is one running with --manage-certificates" in text) == (1, True)
    cluster.failures["GET", f"{SECRETS}/kept"] = [(403, {"message": "forbidden"})]
    code, text = certs("show", "home/kept")
    assert (code, "use the account of an administrator" in text) == (1, True)
    cluster.objects[SECRETS][KEY]["data"]["tls.key"] = ""
    code, text = certs("show", "home/kept")
    assert (code, "tls.key is missing" in text) == (1, True)
    code, text = certs("show", "kept")
    assert (code, "'kept' is not NAMESPACE/NAME" in text) == (2, True)


MANAGED = ("--manage-certificates", "home/kept")
NAMED = (*MANAGED, "--certificate-name", "hook.home.svc")
WHOLE = (*NAMED, "--webhook-configuration", "ours")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (MANAGED, "--manage-certificates home/kept also needs --certificate-name"),
        (NAMED, "--manage-certificates home/kept also needs --webhook-configuration"),
        (("--certificate-name", "a.b.svc"), "--certificate-name a.b.svc also needs --manage-certificates"),
        (("--webhook-configuration", "x"), "--webhook-configuration x also needs --manage-certificates"),
        ((*MANAGED, "--certificate-name", "a b"), "'a b' is neither a DNS name nor an IP address"),
        (("--manage-certificates", "kept"), "'kept' is not NAMESPACE/NAME"),
        (WHOLE, "--manage-certificates home/kept needs a cluster: give --in-cluster or --kubeconfig FILE"),
        ((*WHOLE, "--no-tls"), "--no-tls and --manage-certificates exclude each other"),
        ((*WHOLE, "--tls-cert", "c", "--tls-key", "k"), "--tls-cert and --manage-certificates exclude"),
        (("--no-tls", "--client-ca", "c"), "--no-tls and --client-ca exclude each other"),
        ((*WHOLE, "--certificate-settle", "-1"), "--certificate-settle"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(run, examples, flags, words):
    """Before anything is opened, with the flag that lacks or is too many."""
    result = run("serve", "--objects", examples / "objects", *flags)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_file_of_clients_that_is_none_is_refused(run, examples, tmp_path):
    """By name."""
    (tmp_path / "clients.crt").write_text("none")
    flags = ("--certs-dir", tmp_path / "certs", "--client-ca", tmp_path / "clients.crt")
    for damage in (None, "missing"):
        if damage:
            (tmp_path / "clients.crt").unlink()
        result = run("serve", "--objects", examples / "objects", *flags)
        assert result.exit_code == 1
        assert "--client-ca" in result.output
        assert "give the PEM of one CA or more" in " ".join(result.output.split())


def test_the_clock_is_no_flag():
    """It comes from whoever calls; by default it is the machine's."""
    assert abs(Clock().now() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert [field.name for field in dataclasses.fields(Clock)] == ["now"]
    assert "clock" not in CliRunner().invoke(main, ["serve", "--help"]).output
