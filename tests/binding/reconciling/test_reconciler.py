"""What went wrong meanwhile is put right, by what is stored and never by what is merely known."""

from threading import Event

import pytest

from tests.binding.builders import Clock, Replica, bind, held, node, nrt, pod, resized, settle, store
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.binding.reconciling.reconciler import FOREIGN_SECONDS
from webhook.kube.paths import NODES, PODS

GRACE = 60.0


@pytest.mark.parametrize("end", ["gone", "finished", "another", "elsewhere"])
def test_an_entry_goes_with_its_pod(fake, replica, end):
    """Deleted, finished, made again under its name, or bound elsewhere: at once."""
    bind(replica, pod())
    bind(replica, pod("stays"))
    if end == "gone":
        fake.delete(PODS, "p", "d")
    else:
        change = {
            "finished": pod(node="node-1", cpuset="0,8", phase="Failed"),
            "another": pod(uid="another"),
            "elsewhere": pod(node="node-2", cpuset="0,8"),
        }
        fake.store(PODS, ("d", "p"), change[end])
    replica.hear()
    replica.round()
    assert held(fake) == {"stays": "1,9"}


def test_a_cache_that_is_wrong_drops_nothing(fake, replica):
    """The watch lost a pod, or shows it unbound: the live pod is asked, and it is there."""
    bind(replica, pod())
    replica.state.pods.deleted(pod())
    replica.round()
    replica.state.pods.changed(pod())
    replica.clock.seconds += 2 * GRACE
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_a_pod_that_is_not_bound_keeps_its_cpus_for_the_grace(fake, replica):
    """The bind may have failed after the answer; a retry begins the grace again."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE - 5
    replica.round()
    assert held(fake) == {"p": "0,8"}
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE - 5
    replica.round()
    assert held(fake) == {"p": "0,8"}
    replica.clock.seconds += 10
    replica.round()
    assert held(fake) == {}


def test_clocks_need_not_agree(fake, replica):
    """An entry whose time is long past, by whoever wrote it, has the whole grace from when it is seen."""
    made = store(fake, PODS, pod())
    slow = Replica(fake, clock=Clock())
    slow.clock.seconds -= 10 * GRACE
    assert slow.cpuset(made) == "0,8"
    replica.hear()
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_nothing_is_judged_before_the_namespaces_are_listed(fake, replica):
    """It is not known before whose CPUs are ours to give."""
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    listed = False
    replica.reconciler.listed = lambda: listed
    replica.reconciler._round(Event())
    assert held(fake) is None
    listed = True
    replica.reconciler._round(Event())
    assert held(fake) == {"p": "0,8"}


def test_what_is_refused_for_one_node_stops_no_other(fake, replica):
    """A ledger that the API server does not take is logged, and the round goes on."""
    bind(replica, pod())
    store(fake, NODES, node("node-0", uid="zero"))
    store(fake, TOPOLOGIES, nrt(name="node-0"))
    replica.hear()
    bind(replica, pod("q"), name="node-0")
    fake.delete(PODS, "p", "d")
    fake.delete(PODS, "q", "d")
    replica.hear()
    fake.failures["PUT", f"{LEDGERS}/node-0"] = [(422, {"message": "no"})] * 2
    replica.round()
    assert held(fake) == {}


def test_an_entry_that_is_given_again_in_the_meantime_stays(fake, replica):
    """The reconciler has found it old; before it writes, a replica promises the CPUs once more."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE + 5
    other = Replica(fake, clock=replica.clock)
    live = replica.state.api.get

    def between(path, **given):
        answer = live(path, **given)
        if path.endswith("/pods/p"):
            other.cpuset(made)
        return answer

    replica.state.api.get = between
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_a_deleted_ledger_is_restored(fake, replica):
    """From the pods' annotations."""
    bind(replica, pod())
    bind(replica, pod("q"))
    fake.delete(LEDGERS, "node-1")
    replica.hear()
    replica.clock.seconds += 2 * GRACE
    settle(replica)
    assert held(fake) == {"p": "0,8", "q": "1,9"}


def test_a_ledger_that_was_tampered_with_is_made_whole(fake, replica, caplog):
    """An entry that cannot be read comes back from its pod; the log says which it was."""
    bind(replica, pod())
    bind(replica, pod("q"))
    fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"][0] = "odd"
    replica.hear()
    settle(replica)
    assert held(fake) == {"p": "0,8", "q": "1,9"}
    assert "spec.allocations[0]: 'odd' is no line" in caplog.text


def test_a_void_ledger_is_begun_again(fake, replica):
    """The Node was replaced; pods that are bound to its name are still there."""
    bind(replica, pod())
    store(fake, NODES, node(uid="another"))
    replica.hear()
    settle(replica)
    assert held(fake) == {"p": "0,8"}
    owner = fake.objects[LEDGERS]["", "node-1"]["metadata"]["ownerReferences"][0]
    assert owner["uid"] == "another"


def test_sets_of_other_classes_are_looked_for(fake, replica):
    """No watch tells of them: the pods of a node with a ledger are listed now and then."""
    bind(replica, pod())
    settle(replica)
    store(fake, PODS, pod("ls", qos="LS", node="node-1", cpuset="3,11"))
    replica.clock.seconds += FOREIGN_SECONDS + 1
    settle(replica)
    assert held(fake) == {"ls": "3,11", "p": "0,8"}


def test_when_all_is_well_nothing_is_called(fake, replica):
    """A round over ledgers and pods that agree is made of look-ups."""
    for name in ("a", "b", "c"):
        bind(replica, pod(name))
    settle(replica)
    fake.requests.clear()
    replica.round()
    assert not fake.requests


def test_only_one_replica_reconciles(fake, replica):
    """The one that holds the Lease."""
    other = Replica(fake, clock=replica.clock)
    other.reconciler._lease.identity = "another"
    bind(replica, pod())
    replica.round()
    fake.delete(PODS, "p", "d")
    other.hear()
    other.round()
    assert held(fake) == {"p": "0,8"}
    replica.hear()
    replica.round()
    assert held(fake) == {}


def foreign(fake, replica, number, nodes=1):
    """Pods of class LS with sets of one CPU, on nodes with ledgers."""
    for each in range(1, nodes):
        store(fake, NODES, node(f"node-{each + 1}", uid=f"uid-{each + 1}"))
        store(fake, TOPOLOGIES, nrt(name=f"node-{each + 1}"))
    for each in range(number):
        where = f"node-{each % nodes + 1}"
        made = pod(f"ls{each}", qos="LS", cpu="1", node=where, cpuset=str(each // nodes))
        store(fake, PODS, made)
    replica.hear()
    for each in range(nodes):
        bind(replica, pod(f"p{each}", cpu="1"), cpuset="15", name=f"node-{each + 1}")
    settle(replica, 4)


def listed(fake):
    """The nodes whose pods were listed."""
    return {query["fieldSelector"] for path, query in fake.queries if path == PODS and query}


def test_all_nodes_are_looked_through_within_the_period(fake, replica):
    """As many a round as that takes, one LIST each, and no call for an entry of a pod that no watch shows."""
    foreign(fake, replica, 60, nodes=12)
    assert len(held(fake)) == 6
    fake.requests.clear()
    fake.queries.clear()
    for _ in range(int(FOREIGN_SECONDS) + 1):
        replica.clock.seconds += 1
        replica.round()
    lists = fake.requests["GET", PODS]
    assert len(listed(fake)) == 12
    assert 12 <= lists <= 14
    others = {path: count for (method, path), count in fake.requests.items() if path != PODS}
    assert all("/leases/" in path for path in others), others


@pytest.mark.parametrize("end", ["gone", "finished", "another", "elsewhere", "other CPUs"])
def test_an_entry_of_another_class_goes_when_its_node_is_looked_through(fake, replica, end):
    """One LIST says it of all of them."""
    foreign(fake, replica, 3)
    assert held(fake) == {"ls0": "0", "ls1": "1", "ls2": "2", "p0": "15"}
    if end == "gone":
        fake.delete(PODS, "ls1", "d")
    else:
        change = {
            "finished": pod("ls1", qos="LS", cpu="1", node="node-1", cpuset="1", phase="Succeeded"),
            "another": pod("ls1", qos="LS", uid="another"),
            "elsewhere": pod("ls1", qos="LS", cpu="1", node="node-2", cpuset="1"),
            "other CPUs": pod("ls1", qos="LS", cpu="1", node="node-1", cpuset="9"),
        }
        fake.store(PODS, ("d", "ls1"), change[end])
    replica.clock.seconds += FOREIGN_SECONDS + 1
    settle(replica)
    left = {"ls1": "9"} if end == "other CPUs" else {}
    assert held(fake) == {"ls0": "0", "ls2": "2", "p0": "15", **left}


@pytest.mark.parametrize("status", [403, 422, 500])
@pytest.mark.parametrize("what", ["pod", "pods", "ledger"])
def test_a_refusal_about_one_object_costs_that_object(fake, replica, status, what):
    """A pod that cannot be read, pods of a node that cannot be listed, a ledger that is not taken."""
    store(fake, NODES, node("node-2", uid="two"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    replica.hear()
    bind(replica, pod())
    bind(replica, pod("q"))
    bind(replica, pod("r"), name="node-2")
    settle(replica)
    for name in ("p", "q", "r"):
        fake.delete(PODS, name, "d")
    replica.hear()
    paths = {
        "pod": ("GET", "/api/v1/namespaces/d/pods/p"),
        "pods": ("GET", PODS),
        "ledger": ("PUT", f"{LEDGERS}/node-1"),
    }
    fake.failures[paths[what]] = [(status, {"message": "no"})] * 3
    replica.clock.seconds += FOREIGN_SECONDS
    settle(replica, 5)
    assert held(fake, "node-2") == {}
    assert "q" not in held(fake) or what == "ledger"
    calls = fake.requests[paths[what]]
    settle(replica, 5)
    assert fake.requests[paths[what]] <= calls + 1  # it waits
    fake.failures.clear()
    replica.clock.seconds += 60
    settle(replica, 5)
    assert held(fake) == {}


def test_the_summary_follows_the_machine(fake, replica):
    """Also where nothing is bound meanwhile."""
    bind(replica, pod())
    settle(replica)
    fake.store(TOPOLOGIES, ("", "node-1"), nrt("1x2x2x2"))
    replica.hear()
    settle(replica)
    assert fake.objects[LEDGERS]["", "node-1"]["status"]["cpus"] == 8


def test_a_namespace_that_opts_in_later(fake):
    """Its pods get their sets then."""
    opted_in = []
    replica = Replica(fake, opted_in=lambda name: name in opted_in)
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert held(fake) is None
    opted_in.append("d")
    settle(replica)
    assert held(fake) == {"p": "0,8"}
    replica.endpoint.close()


def test_a_ledger_that_goes_while_no_watch_is_open_is_remembered(fake, replica):
    """A list in place of a watch event: of a pod that became smaller meanwhile no CPU is given to another."""
    bind(replica, pod(cpu="4"))
    replica.hear()
    fresh = Replica(fake, clock=replica.clock)
    resized(fake, fresh, "1")
    fake.delete(LEDGERS, "node-1")
    other = store(fake, PODS, pod("q", cpu="2"))
    fresh.hear()
    assert fresh.cpuset(other) == "2,10"
    assert held(fake) == {"p": "0-1,8-9", "q": "2,10"}
    fresh.endpoint.close()
