"""A control plane on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import Process, eventually
from tests.ports import free_ports

ADMIN_TOKEN = "admin"  # noqa: S105 — of an API server that lives as long as the test run, on loopback
SCHEDULERS = ("default-scheduler", "koord-scheduler")
"""Koordinator's scheduler is not here: the stock one answers to its name, too."""


class ControlPlane:
    """Starts on entering, ends every process on leaving."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        *,
        network: Path | None = None,
        apiserver_flags: Sequence[str] = (),
        heartbeats: bool = False,
    ) -> None:
        """Run nothing yet.

        ``network``: socket of a proxy by which the API server reaches Services. ``heartbeats``: a node whose
        kubelet is silent is not Ready.
        """
        self._folder = folder
        self.apiserver_flags = apiserver_flags
        self._network = network
        self._heartbeats = heartbeats
        self._cache = cache
        self._etcd_port, peer_port, self.port = free_ports(3)
        self._peer = f"http://127.0.0.1:{peer_port}"
        self._etcd_url = f"http://127.0.0.1:{self._etcd_port}"
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.kubectl = Kubectl(find("kubectl", cache), self.kubeconfig)
        self.certificate = folder / "apiserver" / "apiserver.crt"
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        """Start all four, in the order in which they need each other."""
        try:
            self._write_files()
            self._start_etcd()
            self.start_apiserver()
            self._start_clients()
            eventually(self._controllers_work, seconds=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End them in the opposite order."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            if name in self._processes:
                self._processes.pop(name).stop()

    def process(self, name: str) -> Process:
        """One of the four, by the name of its binary."""
        return self._processes[name]

    def start_apiserver(self) -> None:
        """Start the API server, on the same port and the same data each time, and wait for it."""
        key = self._folder / "service-accounts.key"
        self._start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd_url}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'apiserver'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            # It would write its own address, and the loopback address is not allowed there.
            "--endpoint-reconciler-type=none",
            "--shutdown-delay-duration=0s",
            *([f"--egress-selector-config-file={self._folder / 'egress.yaml'}"] if self._network else []),
            *self.apiserver_flags,
        )
        eventually(self._ready, seconds=90, what="kube-apiserver ready")

    def stop_apiserver(self) -> None:
        """End the API server."""
        self._processes.pop("kube-apiserver").stop()

    def _start(self, name: str, *flags: str) -> None:
        log = self._folder / f"{name}.log"
        command = [str(find(name, self._cache)), *flags]
        self._processes[name] = Process(name, command, log, env=os.environ, cwd=self._folder)

    def _start_etcd(self) -> None:
        self._start(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={self._peer}",
            f"--initial-advertise-peer-urls={self._peer}",
            f"--initial-cluster=default={self._peer}",
            # What is lost in a crash of the machine is nobody's loss here.
            "--unsafe-no-fsync",
        )
        eventually(self._etcd_healthy, what="etcd healthy")

    def schedule_for(self, *names: str) -> None:
        """Start the scheduler again, for pods that name one of these."""
        self._processes.pop("kube-scheduler").stop()
        self._write_scheduler(names)
        self._start_scheduler()

    def _start_clients(self) -> None:
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self._folder / 'service-accounts.key'}",
            f"--root-ca-file={self.certificate}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_ports(1)[0]}",
            # It would make its folder for plugins below /usr/libexec.
            f"--flex-volume-plugin-dir={self._folder / 'volume-plugins'}",
            # Most nodes here have no kubelet and so no heart beat.
            *([] if self._heartbeats else ["--controllers=*,-node-lifecycle-controller"]),
        )
        self._start_scheduler()

    def _start_scheduler(self) -> None:
        self._start(
            "kube-scheduler",
            f"--config={self._folder / 'scheduler.yaml'}",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_ports(1)[0]}",
            "-v=2",  # what it bound, and whom it evicted
        )

    def _write_files(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self._folder / "service-accounts.key").write_bytes(pem)
        (self._folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
            "current-context": "e2e",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self._write_scheduler(SCHEDULERS)
        transport = {"uds": {"udsName": str(self._network)}}
        connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
        egress = {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{"name": "cluster", "connection": connection}],
        }
        (self._folder / "egress.yaml").write_text(yaml.safe_dump(egress))

    def _write_scheduler(self, names: Sequence[str]) -> None:
        scheduler = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "leaderElection": {"leaderElect": False},
            "profiles": [{"schedulerName": name} for name in names],
        }
        (self._folder / "scheduler.yaml").write_text(yaml.safe_dump(scheduler))

    def _etcd_healthy(self) -> bool:
        self._processes["etcd"].require_running()
        with urllib.request.urlopen(f"{self._etcd_url}/health", timeout=2) as answer:  # noqa: S310 — our own etcd
            return bool(json.load(answer)["health"] == "true")

    def _ready(self) -> bool:
        self._processes["kube-apiserver"].require_running()
        return self.kubectl.run("get", "--raw", "/readyz", "--request-timeout=5s").stdout == "ok"

    def _controllers_work(self) -> bool:
        for process in self._processes.values():
            process.require_running()
        return bool(self.kubectl.get("serviceaccount", "default", namespace="default"))
