"""A kubelet for the scheduler's Deployment: each is a process, which reads the CA at its start."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path
from typing import Self

from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.scheduler import NAME, start

_PODS = "app.kubernetes.io/component=scheduler"


class Deployment(threading.Thread):
    """Runs what the Deployment controller makes, from entering to leaving.

    Attributes:
        running: by the names of pods.
        ended: what was rolled away.
    """

    def __init__(self, release: Installation, cache: Path, folder: Path) -> None:
        """Take a folder for files; nothing runs yet."""
        super().__init__(daemon=True)
        self._release = release
        self._cache = cache
        self._folder = folder
        self._over = threading.Event()
        self._failed: BaseException | None = None
        self.running: dict[str, Process] = {}
        self.ended: list[Process] = []

    def __enter__(self) -> Self:
        """Have one replica, and wait for it."""
        self._kubectl("scale", "deployment", NAME, "--replicas=1")
        self.start()
        eventually(self.settled, seconds=90, what="the scheduler's Deployment")
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        self._over.set()
        self.join()
        self._kubectl("scale", "deployment", NAME, "--replicas=0")
        for process in self.running.values():
            process.stop()

    def run(self) -> None:
        """Start what is new and end what is deleted, again and again."""
        try:
            while not self._over.wait(0.2):
                self._look()
        except BaseException as error:  # raised again by who waits
            self._failed = error

    def settled(self) -> bool:
        """Whether one pod runs, of the present template."""
        if self._failed is not None:
            raise RuntimeError("the kubelet has failed") from self._failed
        deployment = self._release.kubectl.get("deployment", NAME, namespace=NAMESPACE)
        status = deployment.get("status", {})
        assert status.get("observedGeneration") == deployment["metadata"]["generation"]
        numbers = [status.get(f"{name}eplicas") for name in ("updatedR", "readyR", "r")]
        return numbers == [1, 1, 1]

    def _look(self) -> None:
        listed = self._release.kubectl.items("pods", namespace=NAMESPACE, selector=_PODS)
        pods = {each["metadata"]["name"]: each for each in listed}
        for name, pod in pods.items():
            if pod["metadata"].get("deletionTimestamp"):
                self._end(name)
                self._kubectl("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")
            elif name not in self.running:
                self.running[name] = process = start(self._release, self._cache, self._folder / name, "-v=3")
                waits = lambda each=process: "leader lease" in each.log()  # noqa: E731 — asked again
                eventually(waits, seconds=60, what="a scheduler that wants to lead")
                self._ready(name)
        for name in self.running.keys() - pods.keys():
            self._end(name)

    def _end(self, name: str) -> None:
        if process := self.running.pop(name, None):
            process.stop()
            self.ended.append(process)

    def _ready(self, name: str) -> None:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {"status": "True", "lastTransitionTime": now}
        conditions = [{"type": kind, **said} for kind in ("Ready", "ContainersReady")]
        status = json.dumps({"status": {"phase": "Running", "conditions": conditions}})
        self._kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", status)

    def _kubectl(self, *arguments: str) -> None:
        self._release.kubectl.run("-n", NAMESPACE, *arguments)
