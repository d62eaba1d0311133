"""A cluster in which everything works, and the doctor who looks at it."""

import base64
import json

import pytest
import yaml

from tests.cli.doctor.builders import (
    BATCH,
    CONFIGMAPS,
    DEPLOYMENTS,
    GOOD,
    HOME_PODS,
    LEASES,
    MUTATING,
    NODES,
    NOW,
    POD_RULE,
    PODS,
    SECRETS,
    SERVICES,
    VALIDATING,
    lease,
    profile,
)
from tests.kube.fakeapi import FakeApi
from webhook.certificates.issuing import issue, make_authority


@pytest.fixture(scope="module")
def authority():
    """A CA and a serving certificate of the service's name; PEM."""
    made = make_authority(NOW)
    return made, issue(made, ("hook.home.svc",), NOW)


@pytest.fixture
def cluster(authority):
    """A cluster in which everything works."""
    ca, pair = authority
    with FakeApi() as fake:
        for path in (MUTATING, VALIDATING, LEASES, SERVICES, SECRETS, PODS, HOME_PODS, NODES):
            fake.objects[path] = {}
        fake.objects |= {CONFIGMAPS: {}, DEPLOYMENTS: {}}
        client = {
            "service": {"name": "hook", "namespace": "home", "port": 443},
            "caBundle": base64.b64encode(ca.certificate).decode(),
        }
        for path, verb in ((MUTATING, "mutate"), (VALIDATING, "validate")):
            hook = {"name": f"pods.{verb}.colocation-webhook.io", "clientConfig": client, "rules": [POD_RULE]}
            labels = {"app.kubernetes.io/instance": "ours"}
            fake.put(path, "ours", metadata={"labels": labels}, webhooks=[hook | {"failurePolicy": "Ignore"}])
        fake.put(SERVICES, "hook", spec={"selector": {"app": "hook"}})
        fake.put(SECRETS, "tls", data={"tls.crt": base64.b64encode(pair[0]).decode()})
        fake.put(
            HOME_PODS,
            "hook-1",
            metadata={"namespace": "home"},
            spec={"volumes": [{"name": "x"}, {"secret": {"secretName": "tls"}}]},
            status={"phase": "Running"},
        )
        fake.objects[f"{HOME_PODS}/hook-1:8081/proxy"] = {("", "readyz"): {"view": GOOD}}
        profile(fake, "spark")
        fake.put(LEASES, "koord-scheduler", spec=lease())
        fake.put(NODES, "n-1", status={"allocatable": BATCH})
        fake.failures["GET", "/metrics"] = [(200, b"# HELP x\n")] * 9
        yield fake


@pytest.fixture
def doctor(run, cluster, tmp_path):
    """Run the doctor; exit status, and the findings by verdict."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.port}"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))

    def examine(*flags):
        result = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "-o", "json", *flags)
        found = json.loads(result.output)["findings"]
        return result.exit_code, {
            verdict: "\n".join(
                f"{f['subject']}: {f['message']} -> {f['remedy']}" for f in found if f["verdict"] == verdict
            )
            for verdict in ("ok", "warning", "error")
        }

    return examine
