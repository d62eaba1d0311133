"""Pods under koord-scheduler go where their CPU set is, off hot nodes, and nobody is evicted in vain."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cpusetchecker.facts import STATUS
from tests.e2e.binding.pods import NOBODY, pod, template
from tests.e2e.binding.service import IN, ledger, take_away
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import TOPOLOGY, FakeNode, make, make_bare
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.processes import NotInTimeError, Process, eventually
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import CAPACITY, Helm
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, scheduling, switched_on

SECONDS = 20.0
WHOLE = {"requiredCPUBindPolicy": "FullPCPUs"}
METRICS = "nodemetrics.slo.koordinator.sh"
FOUR = list(yaml.safe_load_all((Path(__file__).parent / "four-deployments.yaml").read_text()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For files of the scheduler."""
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="module")
def _installed(release: Installation, cache: Path, folder: Path) -> Iterator[None]:
    kubectl = release.kubectl
    (definition,) = [
        each for each in Helm(cache, folder).render(CAPACITY, "1.37.0") if each["metadata"]["name"] == METRICS
    ]
    kubectl.apply(definition)
    eventually(lambda: kubectl.run("get", "nodemetrics"), what="NodeMetrics")
    with switched_on(release, folder):
        yield
    kubectl.delete("crd", METRICS)


@pytest.fixture(scope="module")
def _running(
    _installed: None, release: Installation, control_plane: ControlPlane, cache: Path, folder: Path
) -> Iterator[Process]:
    with scheduling(release, control_plane, cache, folder / "all") as process:
        yield process


class Pool:
    """A namespace, and nodes for its pods alone."""

    def __init__(self, kubectl: Kubectl, namespace: str, port: int) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self._port = port
        self._nodes: list[FakeNode] = []

    def add(
        self, name: str, cores: int, *, topology: bool = True, used: int | None = None, reserved: str = ""
    ) -> str:
        """A node of so many cores of two threads, of which ``used`` CPUs are measured to be in use."""
        node = FakeNode(name=f"{name}-{self.namespace}", shape=(1, 1, cores, 2), reserved=reserved)
        self._nodes.append(node)
        (make if topology else make_bare)(self.kubectl, self.namespace, [node])
        if used is not None:
            usage = {"resources": {"cpu": str(used), "memory": "1Gi"}}
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            metric = {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric"}
            self.kubectl.create({**metric, "metadata": {"name": node.name}, "spec": {}})
            status = json.dumps({"status": {"updateTime": now, "nodeMetric": {"nodeUsage": usage}}})
            self.kubectl.run(
                "patch", METRICS, node.name, "--subresource=status", "--type=merge", "-p", status
            )
        self._until_known(node.name, "LSR", lambda why: topology == ("NodeResourceTopology" not in why))
        if used is not None and used > node.cpus // 2:
            self._until_known(node.name, "LS", lambda why: "usage" in why)
        return node.name

    def _until_known(self, node: str, qos: str, holds: Callable[[str], bool]) -> None:
        """Wait until the webhook has heard of a node; what it does not look at, it never says."""
        name = f"probe-{qos.lower()}"
        with contextlib.suppress(RefusedError):  # it is there already
            self.send(name, qos, "2", schedulerName=NOBODY)
        asked = {"Pod": self.stored(name), "NodeNames": [node]}
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE

        def look() -> bool:
            client = http.client.HTTPSConnection("localhost", self._port, timeout=10, context=anybody)
            with contextlib.closing(client):
                client.request(
                    "POST", "/scheduler/filter", json.dumps(asked), {"Content-Type": "application/json"}
                )
                answer = json.load(client.getresponse())
            return holds(answer["FailedAndUnresolvableNodes"].get(node, ""))

        with contextlib.suppress(NotInTimeError):
            eventually(look, seconds=5.0, what=f"{node} known")

    def send(self, name: str, qos: str, cpus: str, *, on: str = "", **spec: object) -> None:
        """A pod under koord-scheduler; ``on``: bound to that node by the test, past every scheduler."""
        given = {"nodeName": on} if on else {"schedulerName": KOORD_SCHEDULER}
        wish = WHOLE if qos in {"LSE", "LSR"} else None
        made = pod(name, template(qos, cpus, wish, pool=self.namespace, **{**given, **spec}))
        made["metadata"]["namespace"] = self.namespace
        self.kubectl.create(made)

    def stored(self, name: str) -> Object:
        """A pod as it is stored."""
        return self.kubectl.get("pod", name, namespace=self.namespace)

    def bound(self, name: str, seconds: float = SECONDS) -> str:
        """Wait until a pod is bound, and return its node."""
        look = lambda: self.stored(name)["spec"].get("nodeName")  # noqa: E731 — a question, asked again and again
        found: str = eventually(look, seconds=seconds, what=f"{name} bound")
        return found

    def why(self, name: str) -> str:
        """What the scheduler says of a pod that it cannot place."""

        def look() -> str:
            conditions = self.stored(name).get("status", {}).get("conditions", [])
            return next((each["message"] for each in conditions if each.get("reason") == "Unschedulable"), "")

        return eventually(look, seconds=SECONDS, what=f"{name} unschedulable")

    def end(self) -> None:
        """Take all of it away."""
        take_away(self.kubectl, self.namespace)
        for node in self._nodes:
            self.kubectl.delete(METRICS, node.name)
            self.kubectl.delete("node", node.name)
            self.kubectl.delete(TOPOLOGY, node.name)


@pytest.fixture
def pool(release: Installation, new_namespace: Callable[..., str]) -> Iterator[Pool]:
    """Nodes and a namespace of its own for each test."""
    here = Pool(release.kubectl, new_namespace(IN), release.port)
    yield here
    here.end()


def one_node_fits(pool: Pool) -> tuple[str, str]:
    """Nodes of three sizes, one without a topology, one reserved: only the fullest has a set."""
    pool.add("small", 2)
    pool.add("reserved", 16, reserved="0-27")
    pool.add("bare", 16, topology=False)
    fits = pool.add("fits", 8)
    # By requests it is the least attractive one.
    pool.send("filler", "LS", "6", on=fits)
    pool.send("whole", "LSR", "8")
    return fits, pool.bound("whole", seconds=8.0)


def a_hot_node_is_left(pool: Pool) -> tuple[str, str]:
    """By requests the hot node is the better one."""
    pool.add("hot", 16, used=30)
    cool = pool.add("cool", 8, used=0)
    pool.send("filler", "LS", "6", on=cool)
    pool.send("web", "LS", "2")
    return cool, pool.bound("web", seconds=8.0)


def nobody_is_evicted_in_vain(pool: Pool) -> tuple[str, str]:
    """Both nodes are full: on one the victims' CPUs help, on the one that is preferred they do not."""
    useless = pool.add("useless", 8, reserved="0-13")
    useful = pool.add("useful", 8)
    pool.send("idle", "", "16", on=useless)
    pool.send("batch", "LSR", "14", on=useful)
    pool.send("filler", "LS", "2", on=useful, priorityClassName="koord-prod")
    eventually(lambda: ledger(pool.kubectl, useful), seconds=SECONDS, what="the CPUs of batch")
    pool.kubectl.create(
        {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": f"above-{pool.namespace}"}, "value": 9999,
        }
    )  # fmt: skip
    try:
        pool.send("new", "LSR", "8", priorityClassName=f"above-{pool.namespace}")

        def evicted() -> str:
            for name, node in (("idle", useless), ("batch", useful)):
                if pool.stored(name)["metadata"].get("deletionTimestamp"):
                    return node
            return ""

        return useful, eventually(evicted, seconds=SECONDS, what="an eviction")
    finally:
        pool.kubectl.delete("priorityclass", f"above-{pool.namespace}")


CHECKS = {
    "cpuSets": one_node_fits,
    "load": a_hot_node_is_left,
    "preemption": nobody_is_evicted_in_vain,
}


# First, for one scheduler at a time leads.
@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("check", CHECKS)
def test_placement_needs_the_check(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    folder: Path,
    pool: Pool,
    check: str,
) -> None:
    """With the check switched off the same pods go elsewhere, or nowhere: the test above would fail."""
    with scheduling(release, control_plane, cache, folder / check, **{check: False}):
        try:
            wanted, found = CHECKS[check](pool)
        except NotInTimeError as error:
            assert "bound" in str(error)
        else:
            assert found != wanted


@pytest.mark.usefixtures("_running")
def test_the_seeds_deployments(pool: Pool) -> None:
    """LSE, LSR, LS and BE nginx, as the seed has them: bound, the first two with their CPUs."""
    pool.add("large", 8)
    kubectl = pool.kubectl
    for made in FOUR:
        kubectl.run("-n", pool.namespace, "create", "-f", "-", stdin=json.dumps(made))

    def placed() -> list[Object]:
        names = ",".join(each["metadata"]["name"] for each in FOUR)
        pods = kubectl.items("pods", namespace=pool.namespace, selector=f"app in ({names})")
        assert len(pods) == 4
        assert all(each["spec"].get("nodeName") for each in pods), [each["status"] for each in pods]
        return pods

    pods = {each["metadata"]["labels"]["app"]: each for each in eventually(placed, seconds=60, what="placed")}
    assert {each["spec"]["schedulerName"] for each in pods.values()} == {KOORD_SCHEDULER}
    given = {name: each["metadata"].get("annotations", {}).get(STATUS) for name, each in pods.items()}
    assert given["nginx-ls"] is None
    assert given["nginx-be"] is None
    sets = [json.loads(given[name])["cpuset"] for name in ("nginx-lse", "nginx-lsr")]
    assert sorted(sets) == ["0,2", "1,3"] or len(set(sets)) == 2, sets
    held = [entry["qosClass"] for entry in ledger(kubectl, pods["nginx-lse"]["spec"]["nodeName"])]
    assert sorted(held) == ["LSE", "LSR"]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.usefixtures("_running")
def test_placement(pool: Pool, check: str) -> None:
    """With all checks pods go where they should."""
    wanted, found = CHECKS[check](pool)
    assert found == wanted


@pytest.mark.usefixtures("_running")
def test_reasons(pool: Pool) -> None:
    """Why a pod waits stands in its status, counted by cause."""
    for number in (1, 2):
        pool.add(f"hot-{number}", 8, used=15)
    pool.add("bare", 8, topology=False)
    pool.add("small", 2)
    pool.send("p", "LSR", "4")
    message = pool.why("p")
    assert "2 node(s) cpu usage exceed threshold" in message
    assert "1 no NodeResourceTopology" in message
    assert "1 too few whole CPU cores for FullPCPUs" in message
    assert "Preemption is not helpful" in message
