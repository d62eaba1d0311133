"""A fake API server that has a release's two webhook configurations, and a settable clock."""

import base64
import datetime as dt

import pytest

from tests.kube.conftest import hurry  # noqa: F401 — a fixture
from tests.kube.fakeapi import FakeApi
from webhook.certificates.rotation import Terms
from webhook.certificates.rotator import Rotator
from webhook.certificates.trustbundle import TrustBundle

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING = f"{ADMISSION}/mutatingwebhookconfigurations"
VALIDATING = f"{ADMISSION}/validatingwebhookconfigurations"
SECRETS = "/api/v1/namespaces/home/secrets"
CONFIGMAPS = "/api/v1/namespaces/home/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/home/deployments"
KEY = ("", "kept")
NAME = "hook.home.svc"


def hook(name, **client):
    """A webhook; its service is ours unless ``client`` says otherwise."""
    service = {"name": "hook", "namespace": "home", "path": "/mutate"}
    return {"name": name, "clientConfig": client or {"service": service}}


class Cluster(FakeApi):
    """The fake, with what tests ask of it."""

    def __init__(self):
        super().__init__()
        self.objects |= {MUTATING: {}, VALIDATING: {}, SECRETS: {}, CONFIGMAPS: {}, DEPLOYMENTS: {}}
        self.seconds = 0.0

    def configure(self):
        """Both configurations, without a caBundle."""
        self.put(MUTATING, "ours", webhooks=[hook("a")])
        self.put(VALIDATING, "ours", webhooks=[hook("b"), hook("c")])

    def rotator(self, *, now=NOW, names=(NAME,), on_signing_key=lambda _: None, deployment=None, **terms):
        """A rotator of the Secret, on this cluster's clock."""
        chosen = Terms(names, **{"settle": 60, "overlap": 600} | terms)
        api = self.api()
        return Rotator(
            api,
            ("home", "kept"),
            ["ours"],
            chosen,
            now=lambda: now,
            clock=lambda: self.seconds,
            on_signing_key=on_signing_key,
            trust_bundle=deployment and TrustBundle(api, ("home", "ca"), deployment),
        )

    def bundles(self):
        """Every caBundle there is, decoded; None where there is none."""
        return [
            base64.b64decode(each["clientConfig"]["caBundle"]) if "caBundle" in each["clientConfig"] else None
            for path in (MUTATING, VALIDATING)
            for one in self.objects[path].values()
            for each in one["webhooks"]
        ]

    @property
    def secret(self):
        """The Secret, None where there is none."""
        return self.objects[SECRETS].get(KEY)

    def annotate(self, asked):
        """What a person does."""
        secret = self.secret
        secret["metadata"].setdefault("annotations", {})["colocation-webhook.io/rotate"] = asked
        self.store(SECRETS, KEY, secret)


@pytest.fixture
def cluster():
    """A cluster with the release installed."""
    with Cluster() as running:
        running.configure()
        yield running
