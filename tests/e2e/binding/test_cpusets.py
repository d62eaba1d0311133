"""CPU sets at binding, with the stock kube-scheduler: four deployments, and each promise by itself."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cpusetchecker.facts import STATUS
from tests.e2e.binding.disturbance import STRATEGIC_MERGE_PATCH
from tests.e2e.binding.place import SECONDS, Place, placed
from tests.e2e.binding.pods import deployment, pod, template
from tests.e2e.binding.service import IN, binding_cpusets, ledger
from tests.e2e.cluster.apiclient import MERGE_PATCH
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import make, unmake
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.objects import profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import Helm

SPREAD = {"preferredCPUBindPolicy": "SpreadByPCPUs"}
WHOLE = {"requiredCPUBindPolicy": "FullPCPUs"}


@pytest.fixture(scope="module")
def _switched_on(
    release: Installation, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    with binding_cpusets(release, Helm(cache, tmp_path_factory.mktemp("chart")), "Fail"):
        yield


@pytest.fixture
def place(
    _switched_on: None, control_plane: ControlPlane, new_namespace: Callable[..., str]
) -> Iterator[Place]:
    """A place of its own for each test."""
    with placed(control_plane, new_namespace(IN)) as here:
        yield here


def test_the_four_deployments(place: Place) -> None:
    """LSE, LSR, LS and BE nginx, bound by kube-scheduler: CPUs 0-1, 2-3, and no set for the last two."""
    kubectl, own = place.kubectl, {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    kubectl.create(profile("stock-scheduler", namespaceSelector=own, schedulerName="default-scheduler"))
    on = {"kubernetes.io/hostname": place.seed.name}
    try:
        for qos, cpu in {"LSE": "2", "LSR": "2", "LS": "2", "BE": "2k"}.items():
            made = template(qos, cpu, SPREAD, pool=place.namespace, schedulerName="koord-scheduler")
            made["spec"]["nodeSelector"] |= on
            name = f"nginx-{qos.lower()}"

            def by_the_profile(name: str = name, made: Object = made) -> bool:
                probe = pod(name, made) | {}
                probe["metadata"]["namespace"] = place.namespace
                return kubectl.create(probe, dry_run=True)["spec"]["schedulerName"] == "default-scheduler"

            eventually(by_the_profile, what="the profile in effect")
            what = deployment(name, 1, made)
            what["metadata"]["namespace"] = place.namespace
            kubectl.create(what)
            wait = ["-n", place.namespace, "wait", "pods", "-l", f"app={name}"]
            wait += ["--for=condition=PodScheduled", "--timeout=60s"]
            # Again and again, because kubectl does not wait for a pod that nobody has made yet.
            eventually(functools.partial(kubectl.run, *wait), seconds=SECONDS, what=f"{name} scheduled")
        stored = {
            each["metadata"]["labels"]["app"]: each
            for each in kubectl.items("pods", namespace=place.namespace)
        }
    finally:
        kubectl.delete("ccp", "stock-scheduler")
    assert {each["spec"]["nodeName"] for each in stored.values()} == {place.seed.name}
    assert {each["spec"]["schedulerName"] for each in stored.values()} == {"default-scheduler"}
    given = {name: each["metadata"].get("annotations", {}).get(STATUS) for name, each in stored.items()}
    assert given["nginx-ls"] is None
    assert given["nginx-be"] is None
    amount = [{"node": 0, "resources": {"cpu": "2"}}]
    assert json.loads(given["nginx-lse"]) == {"cpuset": "0-1", "numaNodeResources": amount}
    assert json.loads(given["nginx-lsr"]) == {"cpuset": "2-3", "numaNodeResources": amount}
    held = {entry["qosClass"]: entry["cpuset"] for entry in ledger(kubectl, place.seed.name)}
    assert held == {"LSE": "0-1", "LSR": "2-3"}
    place.assert_rest()


def test_no_such_set(place: Place) -> None:
    """A binding is denied with what was asked and what is free; the pod hears of it, the ledger does not."""
    place.pod("first", "4", WHOLE)
    assert place.bind("first", place.pair)[0] == 201
    place.pod("second", "12", WHOLE)
    code, said = place.bind("second", place.pair)
    assert code == 403
    # Eight cores, one reserved, two taken.
    assert "needs 6 whole cores" in said
    assert f"{place.pair.name} has 5" in said
    assert "first" in place.holders(place.pair)
    assert "second" not in place.holders(place.pair)
    (event,) = eventually(lambda: place.events("second"), what="an Event on the pod")
    assert event["type"] == "Warning"
    assert event["message"] in said
    assert "nodeName" not in place.kubectl.get("pod", "second", namespace=place.namespace)["spec"]
    # Another node has room for it.
    assert place.bind("second", place.seed)[0] == 201
    place.assert_rest()


def test_dry_run(place: Place) -> None:
    """A dry run is answered like a binding and leaves nothing behind."""
    place.pod("dry", "2")
    assert place.bind("dry", place.seed, "?dryRun=All")[0] == 201
    assert place.holders(place.seed) == {}
    place.pod("large", "17")
    assert place.bind("large", place.seed, "?dryRun=All")[0] == 403
    assert place.bind("dry", place.seed)[0] == 201
    assert place.holders(place.seed) == {"dry": place.cpus("dry")}
    assert place.events("large") == []


def test_a_set_of_koord_scheduler(place: Place) -> None:
    """CPUs that another scheduler has written onto a pod are nobody else's."""
    theirs = json.dumps({"cpuset": "0-1", "numaNodeResources": [{"node": 0, "resources": {"cpu": "2"}}]})
    place.opt_out()
    place.pod("foreign", "2", status=theirs)
    assert place.bind("foreign", place.seed)[0] == 201
    assert place.cpus("foreign") == "0-1"
    eventually(lambda: place.holders(place.seed) == {"foreign": "0-1"}, seconds=SECONDS, what="in the ledger")
    place.opt_in()
    place.pod("ours", "13")
    assert place.bind("ours", place.seed)[0] == 201
    assert place.cpus("ours")
    assert place.holders(place.seed)["foreign"] == "0-1"
    place.assert_rest()


def test_a_binding_that_fails_afterwards(place: Place) -> None:
    """The API server refuses a binding after the webhook's answer: its entry goes after the grace time."""
    place.pod("stale", "2")
    code, said = place.bind("stale", place.seed, resourceVersion="1")
    assert (code, "admission webhook" in said) == (409, False), said
    assert "stale" in place.holders(place.seed)
    eventually(lambda: place.holders(place.seed) == {}, seconds=SECONDS, what="entry dropped")
    assert place.bind("stale", place.seed)[0] == 201
    place.assert_rest()


def test_cpus_come_back(place: Place) -> None:
    """What a pod held that was deleted, or has come to its end, is free again; no other's."""
    sizes = {"deleted": "4", "succeeded": "4", "failed": "4", "stays": "1"}
    for name, cpus in sizes.items():
        place.pod(name, cpus)
        assert place.bind(name, place.seed)[0] == 201
    assert set(place.holders(place.seed)) == set(sizes)
    place.gone("deleted")
    for name in ("succeeded", "failed"):
        phase = {"status": {"phase": name.capitalize()}}
        assert place.call("PATCH", f"/{name}/status", phase, content_type=MERGE_PATCH)[0] == 200
    eventually(lambda: set(place.holders(place.seed)) == {"stays"}, seconds=SECONDS, what="entries dropped")
    # One CPU has to stay for pods without a set.
    place.pod("next", "14")
    assert place.bind("next", place.seed)[0] == 201
    place.assert_rest()


def test_a_node_that_is_replaced(place: Place) -> None:
    """Another Node of the same name begins with an empty ledger, which is its own."""
    place.pod("old", "15")
    assert place.bind("old", place.seed)[0] == 201
    place.gone("old")
    unmake(place.kubectl, [place.seed])
    make(place.kubectl, place.namespace, [place.seed])
    place.pod("new", "15")
    eventually(lambda: place.bind("new", place.seed)[0] == 201, seconds=SECONDS, what="bound to the new node")
    assert set(place.holders(place.seed)) == {"new"}
    owners = place.kubectl.get("nodecpuallocation", place.seed.name)["metadata"]["ownerReferences"]
    uid = place.kubectl.get("node", place.seed.name)["metadata"]["uid"]
    assert [owner["uid"] for owner in owners] == [uid]
    place.assert_rest()


def test_a_node_that_is_replaced_under_its_pods(place: Place) -> None:
    """The other Node's ledger begins with the sets of the pods that are still there, whoever comes first."""
    for name in ("one", "two"):
        place.pod(name, "4")
        assert place.bind(name, place.seed)[0] == 201
    held = place.holders(place.seed)
    unmake(place.kubectl, [place.seed])
    eventually(lambda: place.holders(place.seed) == {}, seconds=SECONDS, what="the ledger gone with its Node")
    make(place.kubectl, place.namespace, [place.seed])
    place.pod("new", "4")
    eventually(lambda: place.bind("new", place.seed)[0] == 201, seconds=SECONDS, what="bound to the new node")
    assert place.holders(place.seed) == {**held, "new": place.cpus("new")}
    place.assert_rest()


def test_what_was_missed(place: Place) -> None:
    """A pod bound past the webhook gets its set later; where there is no room, an Event says so."""
    place.pod("first", "9")
    assert place.bind("first", place.seed)[0] == 201
    place.opt_out()
    for name, cpus in {"late": "4", "too-late": "8"}.items():
        place.pod(name, cpus)
        assert place.bind(name, place.seed)[0] == 201
        assert place.cpus(name) == ""
    place.opt_in()
    eventually(lambda: place.cpus("late"), seconds=SECONDS, what="the missing set")
    eventually(lambda: place.events("too-late"), seconds=SECONDS, what="an Event")
    assert place.cpus("too-late") == ""
    place.assert_rest()
    place.gone("first")
    eventually(lambda: place.cpus("too-late"), seconds=SECONDS, what="a set when there is room")
    place.assert_rest()


def test_shown_to_people(place: Place) -> None:
    """``kubectl get nca`` and ``cpuset show --node`` tell who holds what."""
    place.pod("shown", "2", WHOLE)
    assert place.bind("shown", place.pair)[0] == 201
    heading, line = place.kubectl.run("get", "nca", place.pair.name).stdout.splitlines()
    assert heading.split()[:6] == ["NAME", "CPUS", "ALLOCATED", "FREE", "WHOLE-CORES-FREE", "PODS"]
    assert line.split()[:6] == [place.pair.name, "16", "2", "12", "6", "1"]


def test_a_resize(place: Place) -> None:
    """A larger set contains the old one, a smaller one is part of it, and what cannot be is refused."""
    place.pod("p", "2")
    assert place.bind("p", place.wide)[0] == 201
    assert place.cpus("p") == "0,8"
    for cpus, wanted in (("6", "0-2,8-10"), ("4", "0-1,8-9")):
        assert resized(place, "p", cpus) == (200, "")

        def followed(wanted: str = wanted) -> bool:
            return place.cpus("p") == place.holders(place.wide)["p"] == wanted

        eventually(followed, seconds=SECONDS, what=f"{cpus} CPUs")
    code, said = resized(place, "p", "16")
    assert code == 422
    assert "needs 16 CPUs that contain its CPU set 0-1,8-9" in said
    assert "rule resize-cpu-set" in said
    assert {each["reason"] for each in place.events("p")} == {"CPUSetRepaired"}
    place.assert_rest()


def test_a_resize_before_the_pod_is_bound(place: Place) -> None:
    """Its first bind might be under way: it gets nothing else until that is over, then what it asks for."""
    place.pod("p", "4")
    assert place.bind("p", place.wide, resourceVersion="1")[0] == 409
    assert place.holders(place.wide) == {"p": "0-1,8-9"}
    assert resized(place, "p", "2") == (200, "")
    code, said = place.bind("p", place.wide)
    assert (code, "was promised the CPUs 0-1,8-9" in said) == (403, True), said
    assert place.holders(place.wide) == {"p": "0-1,8-9"}
    eventually(lambda: place.bind("p", place.wide)[0] == 201, seconds=SECONDS, what="bound with two CPUs")
    assert place.holders(place.wide) == {"p": place.cpus("p")} == {"p": "0,8"}
    place.assert_rest()


def resized(place: Place, name: str, cpus: str) -> tuple[int, str]:
    """Resize a pod; the status, and why it is refused."""
    figures = {"cpu": cpus, "memory": "64Mi"}
    resources = {"requests": figures, "limits": figures}
    change = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    code, said = place.call("PATCH", f"/{name}/resize", change, content_type=STRATEGIC_MERGE_PATCH)
    return code, "" if code == 200 else str(said["message"])
