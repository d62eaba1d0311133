"""Certificates that a release looks after: what stands in the cluster, and what is done to it by hand."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path

from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.replicas import Replica
from webhook.certificates.issuing import make_authority

KINDS = ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")
_DAY = 86400.0


class ManagedCertificates:
    """The certificates of one release, and the file that moves the clocks of its replicas.

    Attributes:
        name: of its configurations.
        secret_name: of the Secret with the certificates.
        replicas: those that run, as whoever starts them says.
    """

    def __init__(
        self, installation: Installation, clock: Path, *, namespace: str = NAMESPACE, name: str = RELEASE
    ) -> None:
        """Take where the release is; nothing is done yet."""
        self.release = installation
        self.kubectl = installation.kubectl
        self.namespace = namespace
        self.name = name
        self.secret_name = f"{name}-certificates"
        self.clock = clock
        self.replicas: list[Replica] = []

    def secret(self) -> dict[str, bytes]:
        """What the Secret holds."""
        found = self.kubectl.get("secret", self.secret_name, namespace=self.namespace).get("data", {})
        return {key: base64.b64decode(value) for key, value in found.items()}

    def bundles(self) -> set[bytes]:
        """The different values of ``caBundle`` of the release."""
        return {
            base64.b64decode(webhook["clientConfig"].get("caBundle", ""))
            for kind in KINDS
            for webhook in self.kubectl.get(kind, self.name)["webhooks"]
        }

    def settled(self) -> bool:
        """Whether one CA is published everywhere and nothing is under way."""
        data = self.secret()
        return self.bundles() == {data.get("ca.crt")} and "next-ca.crt" not in data

    def certs(self, verb: str, *flags: str) -> str:
        """A person's command about them."""
        place = f"{self.namespace}/{self.secret_name}"
        return self.release.shell(
            f"colocation-webhook certs {verb} --kubeconfig $KUBECONFIG {' '.join(flags)} {place}"
        )

    def set_clock(self, days: float) -> None:
        """Set all clocks so many days on."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(days * _DAY))
        new.replace(self.clock)

    def move(self, days: float) -> None:
        """Move all clocks, and have everybody look."""
        self.set_clock(days)
        self._secret("label", "--overwrite", f"moved=to.{days:g}")

    def delete(self) -> None:
        """The Secret is gone."""
        self._secret("delete")

    def empty(self) -> None:
        """The Secret has no data."""
        self._secret("patch", "--type=json", '-p=[{"op":"remove","path":"/data"}]')

    def half_fill(self) -> None:
        """The key is half."""
        half = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMIG").decode()
        self._secret("patch", "--type=merge", "-p", json.dumps({"data": {"tls.key": half}}))

    def overwrite(self, *kinds: str) -> None:
        """Every caBundle, of all kinds or of these, is that of somebody else."""
        other = base64.b64encode(make_authority(dt.datetime.now(dt.UTC)).certificate).decode()
        for kind in kinds or KINDS:
            operations = [
                {"op": "replace", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": other}
                for index in range(len(self.kubectl.get(kind, self.name)["webhooks"]))
            ]
            self.kubectl.run("patch", kind, self.name, "--type=json", "-p", json.dumps(operations))

    def _secret(self, verb: str, *flags: str) -> None:
        self.kubectl.run("-n", self.namespace, verb, "secret", self.secret_name, *flags)
