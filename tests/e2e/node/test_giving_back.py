"""What the agent wrote is given back when nobody goes on with it, and stays when somebody does."""

from __future__ import annotations

import pytest

from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.workloads.pods import burner, running
from tests.e2e.repeating import repeating

AGENT = "daemonset/release-colocation-webhook-agent"
ANNOTATION = "colocation-webhook.io/agent"


@pytest.fixture(autouse=True)
def _enforced(release, colocated):
    """The agent has written what it plans, and nothing else."""
    release.set_mode("enforce")
    colocated.wait_for(colocated.after)


class Samples:
    """Texts of files.

    Attributes:
        looks: how often they were looked at.
        seen: the texts that were seen, by file.
    """

    def __init__(self, paths):
        self._paths = paths
        self.looks, self.seen = 0, {name: set() for name in paths}

    def look(self):
        """Read each file."""
        for name, path in self._paths.items():
            self.seen[name].add(path.read_text().strip())
        self.looks += 1


def agent_pod(kubectl):
    """The name of the agent's pod."""
    (pod,) = kubectl.items("pods", namespace=NAMESPACE, selector="app.kubernetes.io/component=agent")
    return pod["metadata"]["name"]


def test_a_rollout_changes_no_file(kubectl, colocated):
    """Neither the agent that ends nor the one that begins; seen ten times a second."""
    wanted = {name: text for name, text in colocated.after.items() if colocated.before.get(name) != text}
    old = agent_pod(kubectl)
    paths = colocated.paths()
    samples = Samples({name: paths[name] for name in wanted})
    with repeating(samples.look):
        kubectl.run("-n", NAMESPACE, "rollout", "restart", AGENT)
        kubectl.run("-n", NAMESPACE, "rollout", "status", AGENT, "--timeout=100s")
        begun = samples.looks
        # The new one looks for ten seconds before it writes.
        colocated.written("later")
        assert samples.looks > begun
    assert agent_pod(kubectl) != old
    assert samples.seen == {name: {text} for name, text in wanted.items()}


@pytest.mark.parametrize("mode", ["ignore", "observe"])
def test_a_pod_that_is_the_agents_no_more(kubectl, colocated, mode):
    """Its files are as before, its CPU is its own all the same; without the annotation all is right again."""
    annotate = ("-n", colocated.namespace, "annotate", "pod", "own", "batch")
    kubectl.run(*annotate, f"{ANNOTATION}={mode}")
    colocated.wait_for(colocated.before, "own", "batch")
    colocated.wait_for(colocated.after, "plain")
    kubectl.run(*annotate, f"{ANNOTATION}-")
    colocated.wait_for(colocated.after)


def test_koordlet_comes_and_goes(kubectl, colocated):
    """The agent gives back and stands by, then goes on."""
    kubectl.create(burner(colocated.namespace, "koordlet", labels={"koord-app": "koordlet"}))
    running(kubectl, colocated.namespace, "koordlet")
    colocated.wait_for(colocated.before)
    kubectl.run("-n", colocated.namespace, "delete", "pod", "koordlet", "--grace-period=1", "--timeout=60s")
    colocated.wait_for(colocated.after)


def test_the_mode_becomes_observe(release, colocated):
    """As by an upgrade of the chart: each agent gives back before the next one only looks."""
    release.set_mode("observe")
    assert colocated.settings() == colocated.before


@pytest.mark.parametrize("propagation", ["background", "foreground"])
def test_the_daemonset_is_deleted(kubectl, colocated, propagation):
    """Gone before its pods, or after them: each pod has given back when it has ended."""
    name = agent_pod(kubectl)
    kubectl.run("-n", NAMESPACE, "delete", AGENT, f"--cascade={propagation}")
    kubectl.run("-n", NAMESPACE, "wait", "--for=delete", f"pod/{name}", "--timeout=60s")
    assert colocated.settings() == colocated.before
