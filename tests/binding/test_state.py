"""What is not watched yet is read."""

from tests.binding.builders import known, node, nrt, pod, store
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.kube.paths import NODES


def test_a_node_that_is_not_known_yet_is_asked_for(fake, replica):
    """Node and topology, once each."""
    made = known(replica, pod())
    store(fake, NODES, node("node-2", uid="two"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    assert replica.cpuset(made, to="node-2")
    for path in (NODES, TOPOLOGIES):
        assert fake.requests["GET", f"{path}/node-2"] == 1
    made = pod("q")
    status, response = replica.ask(known(replica, made), to="nowhere")
    assert (status, response["status"]["message"]) == (200, "node nowhere does not exist")


def test_an_answer_does_not_take_back_what_was_heard_since(fake, replica):
    """A node that changes while it is asked for is the one that was told last."""

    def replaced_meanwhile():
        store(fake, NODES, node("node-2", uid="newer"))
        replica.hear(NODES)

    made = known(replica, pod())
    store(fake, NODES, node("node-2", uid="older"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    fake.late["GET", f"{NODES}/node-2"] = replaced_meanwhile
    assert replica.cpuset(made, to="node-2")
    assert fake.objects[LEDGERS]["", "node-2"]["metadata"]["ownerReferences"][0]["uid"] == "newer"
