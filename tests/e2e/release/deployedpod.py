"""A pod of the chart's Deployment, run as a process: what a kubelet would make of it on this machine.

Its flags are the pod's own. What is different is where: the API server, by a kubeconfig with the account's
token; ports, which are free here; and the files of its Secret and ConfigMap, in folders that follow them.
"""

from __future__ import annotations

import base64
import shlex
import ssl
import threading
from pathlib import Path
from typing import Self

from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.network import ClusterNetwork
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.ports import free_ports

_LOOK_SECONDS = 0.5


class DeployedPod:
    """The one pod behind the release's Service, from entering to leaving."""

    def __init__(self, installation: Installation, network: ClusterNetwork, folder: Path) -> None:
        self._kubectl: Kubectl = installation.kubectl
        self._installation = installation
        self._network = network
        self._folder = folder
        self._port, self._admin_port = free_ports(2)
        self._stop = threading.Event()
        self._following: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Start it and wait until it is ready and its Service leads to it."""
        deployment = self._kubectl.get("deployment", RELEASE, namespace=NAMESPACE)
        spec = deployment["spec"]["template"]["spec"]
        self._folder.mkdir()
        places = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        moved = {}
        for volume in spec["volumes"]:
            place = places[volume["name"]]
            if "secret" in volume:
                moved[place] = self._follow("secret", volume["secret"]["secretName"], volume["name"])
            if "configMap" in volume:
                moved[place] = self._follow("configmap", volume["configMap"]["name"], volume["name"])
        self._kubectl.account(RELEASE, namespace=NAMESPACE, kubeconfig=self._folder / "kubeconfig")
        command = shlex.join(["colocation-webhook", *self._flags(spec["containers"][0]["args"], moved)])
        name = f"pod-{self._port}"
        self._replica = self._installation.replica(name, self._port, self._admin_port, command=command)
        self._replica.start()
        try:
            self._replica.wait_until_ready()
            service = self._kubectl.get("service", RELEASE, namespace=NAMESPACE)["spec"]
            self._network.ports[f"{service['clusterIP']}:{service['ports'][0]['port']}"] = self._port
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it; its Service leads nowhere then."""
        self._stop.set()
        self._network.ports.clear()
        self._replica.stop()
        for thread in self._following:
            thread.join()

    def chain(self) -> str:
        """The certificate it shows, in PEM."""
        return ssl.get_server_certificate(("localhost", self._port), timeout=10)

    def log(self) -> str:
        """What it has written."""
        return self._replica.process.log()

    def _flags(self, arguments: list[str], moved: dict[str, Path]) -> list[str]:
        """The container's arguments, with this machine's places."""
        replaced = {
            "--in-cluster": f"--kubeconfig={self._folder / 'kubeconfig'}",
            "--bind=:8443": f"--bind=localhost:{self._port}",
            "--admin-bind=:8081": f"--admin-bind=localhost:{self._admin_port}",
        }
        assert set(replaced) <= set(arguments)
        result = [replaced.get(argument, argument) for argument in arguments]
        for inside, outside in moved.items():
            result = [argument.replace(inside, str(outside)) for argument in result]
        return result

    def _follow(self, kind: str, name: str, volume: str) -> Path:
        """A folder with the object's files, kept up to date as a kubelet does it: all change at once."""
        folder = self._folder / volume
        folder.mkdir()
        eventually(lambda: self._write(kind, name, folder), seconds=60, what=f"{kind} {name}")
        for file in (folder / "..data").iterdir():
            (folder / file.name).symlink_to(Path("..data", file.name))
        thread = threading.Thread(target=self._keep, args=(kind, name, folder), daemon=True)
        thread.start()
        self._following.append(thread)
        return folder

    def _keep(self, kind: str, name: str, folder: Path) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._write(kind, name, folder)
            except RefusedError:
                continue  # What is gone leaves its files where they are.

    def _write(self, kind: str, name: str, folder: Path) -> bool:
        stored: Object = self._kubectl.get(kind, name, namespace=NAMESPACE)
        version = folder / f"..{stored['metadata']['resourceVersion']}"
        if not version.exists():
            version.mkdir()
            for file, value in stored["data"].items():
                content = base64.b64decode(value) if kind == "secret" else value.encode()
                (version / file).write_bytes(content)
            fresh = folder / "..fresh"
            fresh.symlink_to(version.name)
            fresh.replace(folder / "..data")
        return True
