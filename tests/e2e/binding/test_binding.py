"""CPU sets at binding: kube-scheduler binds, the webhook gives CPUs, and is away for a while."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.cpusetchecker.facts import STATUS
from tests.e2e.binding.place import SECONDS, Place, placed
from tests.e2e.binding.service import FLAGS, IN, ledger, one_process
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import TOPOLOGY
from tests.e2e.cluster.kubectl import RefusedError
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation

WHOLE = {"requiredCPUBindPolicy": "FullPCPUs"}


@pytest.fixture(scope="module")
def webhook(release: Installation) -> Iterator[Installation]:
    """One process that gives CPU sets; without it pods are bound all the same."""
    with one_process(release, "Ignore"):
        yield release


@pytest.fixture
def place(
    webhook: Installation, control_plane: ControlPlane, new_namespace: Callable[..., str]
) -> Iterator[Place]:
    """A place of its own for each test."""
    del webhook
    with placed(control_plane, new_namespace(IN)) as here:
        yield here


def test_a_pod_gets_its_cpus(place: Place) -> None:
    """The stock scheduler binds; the pod has its annotation, and the ledger its entry."""
    made = place.send("a", "4", WHOLE)
    stored, node = place.bound("a"), place.wide.name
    assert json.loads(stored["metadata"]["annotations"][STATUS]) == {
        "cpuset": "0-1,8-9", "numaNodeResources": [{"node": 0, "resources": {"cpu": "4"}}],
    }  # fmt: skip
    held = place.kubectl.get("nca", node)
    (line,) = held["spec"]["allocations"]
    *told, moment, uid = line.split(" ")
    assert told == [f"{place.namespace}/a", "LSR", "0-1,8-9", "FullPCPUs,required"]
    assert (moment[-1], uid) == ("Z", made["metadata"]["uid"])
    (owner,) = held["metadata"]["ownerReferences"]
    assert owner["uid"] == place.kubectl.get("node", node)["metadata"]["uid"]
    counts = {name: held["status"][name] for name in ("cpus", "allocated", "free", "wholeCoresFree", "pods")}
    assert counts == {"cpus": 16, "allocated": 4, "free": 12, "wholeCoresFree": 6, "pods": 1}


def test_denied_with_what_is_free(place: Place) -> None:
    """What cannot be had is denied with figures and an Event, and not in the ledger; later it is given."""
    node = place.wide.name
    place.kubectl.run("label", "node", node, "node.koordinator.sh/numa-topology-policy=SingleNUMANode")
    for name, cpus in (("first", "6"), ("second", "4")):
        place.send(name, cpus, WHOLE)
        place.bound(name)
    place.send("third", "6", WHOLE)
    event = eventually(lambda: place.events("third"), seconds=SECONDS, what="an Event on the pod")[0]
    assert event["reason"] == "CPUSetDenied"
    assert event["message"] == f"needs 3 whole cores on one NUMA node; {node} has 1 and 2"
    assert set(place.holders(place.wide)) == {"first", "second"}
    place.gone("first")
    place.bound("third")
    assert place.cpus("third") == "0-2,8-10"
    eventually(lambda: set(place.holders(place.wide)) == {"second", "third"}, what="first dropped")


def test_another_classes_pod_is_left_alone(place: Place) -> None:
    """LS pods are bound as they are."""
    place.send("ls", qos="LS")
    place.bound("ls")
    assert place.cpus("ls") == ""
    assert not ledger(place.kubectl, place.wide.name)


def test_other_namespaces_are_untouched(place: Place, new_namespace: Callable[..., str]) -> None:
    """Without the label nothing is given."""
    outside = place.elsewhere(new_namespace())
    outside.send("alone")
    outside.bound("alone")
    assert outside.cpus("alone") == ""
    assert not ledger(place.kubectl, place.wide.name)


def test_what_was_missed_is_repaired(place: Place, webhook: Installation) -> None:
    """A pod bound while the webhook was away gets its CPUs when it is back, and is told so."""
    place.send("before")
    place.bound("before")
    assert place.cpus("before") == "0,8"
    webhook.stop()
    place.send("missed")
    place.bound("missed")
    assert place.cpus("missed") == ""
    webhook.serve(*FLAGS)
    assert eventually(lambda: place.cpus("missed"), seconds=SECONDS, what="the missing set") == "1,9"
    assert place.holders(place.wide) == {"before": "0,8", "missed": "1,9"}
    (event,) = eventually(lambda: place.events("missed"), what="an Event on the pod")
    assert event["reason"] == "CPUSetRepaired"


def test_a_deleted_ledger_comes_back(place: Place) -> None:
    """Somebody deletes the ledger: it is made again from what the pods say."""
    for name in ("one", "two"):
        place.send(name)
        place.bound(name)
    before = place.holders(place.wide)
    assert set(before) == {"one", "two"}
    place.kubectl.delete("nca", place.wide.name)
    eventually(lambda: place.holders(place.wide) == before, what="the ledger as before")


def test_a_ledger_is_edited_by_hand(place: Place) -> None:
    """What is no line is refused, with its place; CPUs that nobody can read come back from the pod."""
    place.send("one")
    place.bound("one")
    node = place.wide.name

    def edit(line: str) -> None:
        change = json.dumps({"spec": {"allocations": [line]}})
        place.kubectl.run("patch", "nca", node, "--type=merge", "-p", change)

    with pytest.raises(RefusedError, match=r"spec\.allocations\[0\]: Invalid value: \"gold\""):
        edit("gold")
    edit(f"{place.namespace}/one LSR 8-0 FullPCPUs 2026-01-31T07:00:00Z nobody")
    eventually(lambda: place.holders(place.wide) == {"one": "0,8"}, what="the ledger as before")


def test_sets_of_others_are_respected(place: Place, new_namespace: Callable[..., str]) -> None:
    """A set that koord-scheduler gave to a pod, of whatever class, is nobody else's."""
    outside = place.elsewhere(new_namespace())
    outside.pod("foreign", "2", qos="LS", status='{"cpuset":"0,8"}', nodeName=place.wide.name)
    place.send("ours")
    place.bound("ours")
    assert place.cpus("ours") == "1,9"
    assert place.holders(place.wide) == {"foreign": "0,8", "ours": "1,9"}


def test_a_node_without_topology_is_refused(place: Place) -> None:
    """Where the CPUs are not known nothing can be bound, and the message says what is missing."""
    node = place.wide.name
    place.kubectl.delete(TOPOLOGY, node)
    place.pod("p", "2")
    said = f"node(s) invalid CPU Topology: {node}: it has no NodeResourceTopology"
    eventually(lambda: said in place.bind("p", place.wide, "?dryRun=All")[1], what="what is missing")


def test_the_map_is_drawn(place: Place, webhook: Installation) -> None:
    """``cpuset show --node`` draws the node's CPUs with who holds them."""
    node = place.wide.name
    for name, qos in (("nginx-lse", "LSE"), ("nginx-lsr", "LSR")):
        place.send(name, "4", qos=qos)
        place.bound(name)
    drawn = webhook.shell(f'colocation-webhook cpuset show --node {node} --kubeconfig "$KUBECONFIG"')
    assert drawn.startswith(f"{node}: 16 CPUs, 8 held by 2 pods, 8 free (4 whole cores)\n")
    assert f"{place.namespace}/nginx-lse" in drawn
    assert ["thread", "0", "0E", "1E", "2R", "3R"] in [line.split() for line in drawn.splitlines()]
    assert max(map(len, drawn.splitlines())) <= 80


def test_the_older_path_of_a_binding_is_asked_about_too(place: Place) -> None:
    """``POST …/bindings``, which clients use still: a denial, and a set."""
    place.pod("large", "64", qos="LSE")
    code, said = place.bind_by_older_path("large", place.wide)
    assert (code, f"needs 64 CPUs; {place.wide.name} has 16 free" in said) == (403, True)
    place.pod("small", "2")
    assert place.bind_by_older_path("small", place.wide)[0] == 201
    assert place.cpus("small") == "0,8"
    assert place.holders(place.wide) == {"small": "0,8"}


def test_a_review_that_no_api_server_sent_takes_no_more_than_the_pod_could_get(
    place: Place, webhook: Installation, new_namespace: Callable[..., str]
) -> None:
    """By a client without a certificate: for a pod that fits no node, one outside, one on every node."""
    outside = place.elsewhere(new_namespace())
    outside.pod("outside", "15")
    place.pod("nowhere", "15", nodeSelector={"no": "where"})
    place.pod("greedy", "15")
    for node in place.nodes:
        assert outside.forge(webhook.port, "outside", node)["allowed"]
        denied = place.forge(webhook.port, "nowhere", node)
        assert "nodeSelector asks for no=where" in denied["status"]["message"]
        assert not ledger(place.kubectl, node.name)
    for _ in range(3):
        for node in place.nodes:
            place.forge(webhook.port, "greedy", node)

    def promises() -> list[str]:
        return [node.name for node in place.nodes if "greedy" in place.holders(node)]

    assert len(promises()) <= 2
    eventually(lambda: len(promises()) == 1, seconds=10, what="one promise")
    free = next(node for node in (place.wide, place.seed) if node.name not in promises())
    place.pod("honest", "4")
    assert place.bind("honest", free)[0] == 201
    assert place.cpus("honest")
    for name in ("nowhere", "greedy"):
        place.gone(name)
    place.assert_rest()
