"""Spark on a real node: a small image, and Spark, Java and Python of this machine, read-only, by hostPath."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyspark

from tests.e2e.cluster.processes import free_ports
from tests.e2e.node.images import SOURCES, write

IMAGE: Final = "localhost/spark:1"
HOME: Final = Path(pyspark.__file__).parent
PI: Final = "local://" + str(HOME / "examples" / "src" / "main" / "python" / "pi.py")
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


def template(folder: Path) -> Path:
    """Write the pod template of driver and executors: the node's network, and the folders of this machine."""
    places = {f"machine-{number}": place for number, place in enumerate(_places())}
    spec = {
        "hostNetwork": True,
        "volumes": [{"name": name, "hostPath": {"path": place}} for name, place in places.items()],
        "containers": [
            {
                "name": "spark",
                "volumeMounts": [
                    {"name": name, "mountPath": place, "readOnly": True} for name, place in places.items()
                ],
            }
        ],
    }
    path = folder / "pod-template.yaml"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec}))
    return path


def submit(
    url: str, namespace: str, template: Path, settings: Mapping[str, str], *arguments: str
) -> list[str]:
    """The command line of an application in cluster mode, by the account ``spark``."""
    driver_port, block_port = free_ports(2)
    conf = {
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.container.image": IMAGE,
        "spark.kubernetes.container.image.pullPolicy": "Never",
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
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
        "spark.kubernetes.submission.waitAppCompletion": "false",
        **settings,
    }
    command = [str(HOME / "bin" / "spark-submit"), f"--master=k8s://{url}", "--deploy-mode=cluster"]
    return command + [f"--conf={name}={value}" for name, value in conf.items()] + list(arguments)
