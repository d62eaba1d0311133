"""Spark on a real node: a small image, and Spark, Java and Python of this machine, read-only, by hostPath.

And what a test says of an application's pods.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyspark

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import assert_be
from tests.e2e.node.machine.images import SOURCES, write
from tests.e2e.node.machine.node import NAME, Node
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.limits import limits, standing
from tests.e2e.node.workloads.pods import BATCH_CPU, BATCH_MEMORY
from tests.ports import free_ports

IMAGE: Final = "localhost/spark:1"
HOME: Final = Path(pyspark.__file__).parent
PI: Final = "local://" + str(HOME / "examples" / "src" / "main" / "python" / "pi.py")
MEMORY: Final = "896Mi"
"""Of a pod with 512 MiB: 384 MiB more, which Spark adds."""
_BYTES: Final = 896 << 20
_ROLE: Final = "spark-role"
_USERS = b"root:x:0:0:root:/root:/bin/sh\n"


def save(archive: Path) -> None:
    """Write the image."""
    files = {
        "opt/entrypoint.sh": (SOURCES / "spark.sh").read_bytes(),
        "etc/passwd": _USERS,
        "etc/group": b"root:x:0:\n",
        "tmp/empty": b"",
    }
    links = {name: f"usr/{name}" for name in ("bin", "lib", "lib64")}
    write(archive, IMAGE, files, links, entrypoint=["/bin/bash", "/opt/entrypoint.sh"])


def _places() -> list[str]:
    """The folders of this machine that Spark needs, none in another one."""
    java = Path(os.environ.get("JAVA_HOME") or Path(str(shutil.which("java"))).resolve().parents[1])
    wanted = ["/usr", "/etc/alternatives", *map(str, Path("/etc").glob("java-*"))]
    wanted += [str(java), sys.base_prefix, sys.prefix, str(HOME)]
    found: list[str] = []
    for place in sorted(set(wanted)):
        if not any(Path(place).is_relative_to(each) for each in found):
            found.append(place)
    return found


def on_this_machine(container: str, *further: Path) -> Object:
    """What a pod of Spark needs here: the node's network, and this machine's folders in a container of it.

    Args:
        container: its name.
        further: folders beside those that Spark needs.
    """
    places = {f"machine-{number}": place for number, place in enumerate([*_places(), *map(str, further)])}
    mounts = [{"name": name, "mountPath": place, "readOnly": True} for name, place in places.items()]
    return {
        "hostNetwork": True,
        "volumes": [{"name": name, "hostPath": {"path": place}} for name, place in places.items()],
        "containers": [{"name": container, "volumeMounts": mounts}],
    }


def template(folder: Path) -> Path:
    """Write the pod template of driver and executors."""
    spec = on_this_machine("spark")
    path = folder / "pod-template.yaml"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec}))
    return path


def deviations(url: str, template: Path) -> dict[str, str]:
    """What an application needs on this node beside what it says itself."""
    driver_port, block_port = free_ports(2)
    return {
        "spark.kubernetes.container.image.pullPolicy": "Never",
        "spark.kubernetes.driver.podTemplateFile": str(template),
        "spark.kubernetes.driver.podTemplateContainerName": "spark",
        "spark.kubernetes.executor.podTemplateFile": str(template),
        "spark.kubernetes.executor.podTemplateContainerName": "spark",
        # There is no DNS and no kube-proxy.
        "spark.kubernetes.driver.master": url,
        "spark.kubernetes.executor.useDriverPodIP": "true",
        "spark.kubernetes.driverEnv.SPARK_HOME": str(HOME),
        "spark.executorEnv.SPARK_HOME": str(HOME),
        "spark.pyspark.python": sys.executable,
        "spark.ui.enabled": "false",
        # All pods have the node's ports: executors take what is free.
        "spark.blockManager.port": "0",
        "spark.driver.port": str(driver_port),
        "spark.driver.blockManager.port": str(block_port),
        # Debian's etcd is too old for the watches of Spark's client, which the API server then refuses.
        "spark.kubernetes.executor.enableApiWatcher": "false",
        "spark.kubernetes.executor.apiPollingInterval": "2s",
        # Else they are gone with the application, and nothing is left to look at.
        "spark.kubernetes.executor.deleteOnTermination": "false",
    }


def environment(kubeconfig: Path) -> dict[str, str]:
    """Of spark-submit."""
    return {**os.environ, "KUBECONFIG": str(kubeconfig), "SPARK_LOCAL_IP": "127.0.0.1"}


def submit(
    url: str, namespace: str, template: Path, settings: Mapping[str, str], *arguments: str
) -> list[str]:
    """The command line of an application in cluster mode, by the account ``spark``."""
    conf = {
        **deviations(url, template),
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.container.image": IMAGE,
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
        "spark.kubernetes.submission.waitAppCompletion": "false",
        **settings,
    }
    command = [str(HOME / "bin" / "spark-submit"), f"--master=k8s://{url}", "--deploy-mode=cluster"]
    return command + [f"--conf={name}={value}" for name, value in conf.items()] + list(arguments)


def pods(kubectl: Kubectl, namespace: str, role: str) -> list[Object]:
    """The pods of an application."""
    return kubectl.items("pods", namespace=namespace, selector=f"{_ROLE}={role}")


def assert_colocated(kubectl: Kubectl, namespace: str, cpus: Sequence[str]) -> None:
    """Driver and two executors are BE, with so much batch CPU each, on the node."""
    (driver,) = pods(kubectl, namespace, "driver")
    executors = pods(kubectl, namespace, "executor")
    assert len(executors) == 2
    for each, cpu in zip((driver, *executors), cpus, strict=True):
        assert_be(each, {BATCH_CPU: cpu, BATCH_MEMORY: MEMORY})
        assert each["spec"]["nodeName"] == NAME


class Seen:
    """What is seen of an application's driver and two executors while they run.

    Attributes:
        reported: the names of those that the NodeMetric has as batch pods.
        limited: of those in whose cgroups stands what their batch resources come to.
        explained: milli-cores of batch CPU, requested and used, as `capacity explain` has them while those
            run that are named, and no other begins or ends; of the most that were met so.
    """

    def __init__(
        self, kubectl: Kubectl, node: Node, namespace: str, release: str, cpus: Mapping[str, int]
    ) -> None:
        """Begin with nothing.

        Args:
            kubectl: the administrator's.
            node: where they run, and no other batch pod.
            namespace: the application's.
            release: the chart's namespace.
            cpus: milli-cores of a pod, by its role.
        """
        self._kubectl, self._node, self._namespace = kubectl, node, namespace
        self._cpus = cpus
        self._config = f"{release}/slo-controller-config"
        self.reported: set[str] = set()
        self.limited: set[str] = set()
        self.explained: tuple[int, float, frozenset[str]] = (0, 0.0, frozenset())

    def look(self) -> None:
        """Look once."""
        wanted = (self._namespace, "BE", "koord-batch")
        for each in self._kubectl.get("nodemetric", NAME)["status"]["podsMetric"]:
            if (each["namespace"], each["qos"], each["priority"]) == wanted:
                self.reported.add(each["name"])
        run = self._running()
        self.limited |= {name for name in run.keys() - self.limited if self._is_limited(run[name])}
        if len(run) > len(self.explained[2]):
            requested, used = self._explain()
            if used and self._running().keys() == run.keys():
                self.explained = requested, used, frozenset(run)

    def assert_all(self) -> None:
        """Each of the three was limited, the driver reported, and those that ran together were counted so.

        An executor that ends before the next metric is not in one.
        """
        roles = {_name(each): each["metadata"]["labels"][_ROLE] for each in self._pods()}
        assert self.limited == roles.keys()
        assert self.reported & {name for name, role in roles.items() if role == "driver"}
        requested, used, counted = self.explained
        assert requested == sum(self._cpus[roles[name]] for name in counted)
        assert "driver" in {roles[name] for name in counted}
        assert used > 0

    def _running(self) -> dict[str, Object]:
        """Those that have a node and have not ended, by name; none while one only begins."""
        pods = [each for each in self._pods() if each["status"]["phase"] not in {"Succeeded", "Failed"}]
        run = [each for each in pods if each["status"]["phase"] == "Running"]
        return {_name(each): each for each in run} if len(run) == len(pods) else {}

    def _pods(self) -> list[Object]:
        return self._kubectl.items("pods", namespace=self._namespace, selector=_ROLE)

    def _is_limited(self, pod: Object) -> bool:
        planned = limits(self._cpus[pod["metadata"]["labels"][_ROLE]], _BYTES)
        try:
            return standing(PodGroups(self._node, pod)) == planned
        except (LookupError, OSError, ValueError):  # its container begins or ends at this moment
            return False

    def _explain(self) -> tuple[int, float]:
        program = str(Path(sys.executable).with_name("colocation-webhook"))
        where = ["--kubeconfig", str(self._kubectl.kubeconfig), "--config", self._config]
        command = [program, "capacity", "explain", NAME, *where, "-o", "json"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 — our own
        (cpu,) = [each for each in json.loads(said)["resources"] if each["resource"] == BATCH_CPU]
        return cpu["requested"], cpu["used"]


def _name(pod: Object) -> str:
    found: str = pod["metadata"]["name"]
    return found
