"""What the kubelet's files say of CPUs: its CPU manager's policy, and the CPUs that it has given to pods.

Source: Kubernetes ``pkg/kubelet/cm/cpumanager/state`` (the checkpoint) and ``KubeletConfiguration``. The
kubelet itself is not asked: whoever may ask it for its configuration may do much more.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.errors import CpuSetError
from webhook.kube.files import read_file
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.text import shown
from webhook.protocol import BEST_EFFORT, CPU, POLICY_NONE, RESTRICTED, SINGLE_NUMA_NODE

CHECKPOINT: Final = "cpu_manager_state"
CONFIGURATION: Final = "config.yaml"
STATIC: Final = "static"
UNKNOWN: Final = "unknown"
_TOPOLOGY_POLICIES: Final = {
    "best-effort": BEST_EFFORT,
    "restricted": RESTRICTED,
    "single-numa-node": SINGLE_NUMA_NODE,
}


class Kubelet(NamedTuple):
    """What a node's kubelet does with CPUs.

    Attributes:
        policy: of its CPU manager: ``none`` or ``static``; UNKNOWN where its files do not say.
        options: of that policy.
        reserved_cpus: what it keeps for itself, by number.
        reserved_count: how many it keeps, where it chooses them itself.
        pinned: CPU ids that it has given to pods, by uid.
        topology_policy: of its topology manager, as a NodeResourceTopology names it.
        findings: what could not be read.
    """

    policy: str
    options: Mapping[str, str]
    reserved_cpus: frozenset[int]
    reserved_count: int
    pinned: Mapping[str, frozenset[int]]
    topology_policy: str
    findings: tuple[str, ...]


class KubeletFiles:
    """The kubelet's folder, read again when a file of it was written."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, ``/var/lib/kubelet``; nothing is read yet."""
        self._folder = folder
        self._read: tuple[object, Kubelet] | None = None

    def read(self) -> Kubelet:
        """Return what the files say now."""
        written = tuple(_written(self._folder / name) for name in (CHECKPOINT, CONFIGURATION))
        if self._read is None or self._read[0] != written:
            self._read = written, read_kubelet(self._folder)
        return self._read[1]


def read_kubelet(folder: Path) -> Kubelet:
    """Read the kubelet's folder, ``/var/lib/kubelet``.

    What is not there is as its defaults have it, but for the policy: a flag may have said another one.
    """
    findings: list[str] = []
    checkpoint = _mapping(folder / CHECKPOINT, findings)
    configuration = _mapping(folder / CONFIGURATION, findings) or {}
    # The checkpoint says what is at work. The configuration may have changed since, also if that is torn.
    named = configuration.get("cpuManagerPolicy") if checkpoint is None else checkpoint.get("policyName")
    policy = str(named or UNKNOWN)
    if policy == UNKNOWN:
        findings.append(f"{folder}: {CHECKPOINT} and {CONFIGURATION} do not say the kubelet's CPU policy")
    options = configuration.get("cpuManagerPolicyOptions")
    reserved, count = _reserved(configuration, findings)
    return Kubelet(
        policy,
        {str(key): str(value) for key, value in options.items()} if isinstance(options, Mapping) else {},
        reserved if policy == STATIC else frozenset(),
        count if policy == STATIC else 0,
        dict(_pinned(checkpoint or {}, findings)),
        _topology_policy(configuration),
        tuple(findings),
    )


def _pinned(checkpoint: Mapping[str, Any], findings: list[str]) -> Iterable[tuple[str, frozenset[int]]]:
    entries = checkpoint.get("entries")
    for uid, containers in entries.items() if isinstance(entries, Mapping) else ():
        cpus: frozenset[int] = frozenset()
        for container, text in containers.items() if isinstance(containers, Mapping) else ():
            try:
                cpus |= parse_cpulist(text, field=f"{CHECKPOINT}: {uid}/{container}")
            except CpuSetError as error:
                findings.append(str(error))
        if cpus:
            yield uid, cpus


def _reserved(configuration: Mapping[str, Any], findings: list[str]) -> tuple[frozenset[int], int]:
    """Return the CPUs that are reserved by number, else how many are."""
    listed = configuration.get("reservedSystemCPUs")
    if listed:
        try:
            return parse_cpulist(str(listed), field=f"{CONFIGURATION}: reservedSystemCPUs"), 0
        except CpuSetError as error:
            findings.append(str(error))
    total = 0
    for section in ("kubeReserved", "systemReserved"):
        amounts = configuration.get(section)
        if isinstance(amounts, Mapping) and amounts.get(CPU) is not None:
            try:
                total += milli(text_of(amounts[CPU]))
            except QuantityError as error:
                findings.append(f"{CONFIGURATION}: {section}.cpu: {error}")
    return frozenset(), -(-total // 1000)


def _topology_policy(configuration: Mapping[str, Any]) -> str:
    name = _TOPOLOGY_POLICIES.get(str(configuration.get("topologyManagerPolicy")))
    if name is None:
        return POLICY_NONE
    level = "PodLevel" if configuration.get("topologyManagerScope") == "pod" else "ContainerLevel"
    return name + level


def _written(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_size, found.st_mtime_ns


def _mapping(path: Path, findings: list[str]) -> Mapping[str, Any] | None:
    """Return the object in a file of JSON or YAML, empty where it cannot be read; None: there is no file."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        findings.append(f"{path}: {error.strerror or error}")
        return {}
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = _yaml(data, path, findings)
    if isinstance(value, Mapping):
        return value
    findings.append(f"{path}: {shown(data[:40].decode(errors='replace'))} is no object")
    return {}


def _yaml(data: bytes, path: Path, findings: list[str]) -> object:
    from webhook.pods.documents import (  # noqa: PLC0415 — YAML takes memory that few nodes need
        DocumentError,
        read_documents,
    )

    try:
        documents = read_documents(data, str(path))
    except DocumentError as error:
        findings.append(str(error))
        return {}
    return documents[0].value if documents else {}
