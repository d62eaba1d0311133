"""The chart by Helm on a real node where nobody has installed it; then all of it goes again, agents first."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import make_namespace
from tests.e2e.node.byhelm import ByHelm
from tests.e2e.node.colocated import Colocated
from tests.e2e.release.installation import NAMESPACE


@pytest.fixture(scope="module")
def chart(own_image, node_control_plane, cache, tmp_path_factory):
    """The chart, installed; afterwards it is uninstalled."""
    del own_image
    installed = ByHelm(node_control_plane, cache, tmp_path_factory.mktemp("clone"))
    installed.install()
    yield installed
    installed.uninstall()


@pytest.fixture(scope="module")
def colocated(kubectl, node, chart):
    """Pods of three kinds, made while the agent only observes."""
    chart.upgrade("--set=agent.mode=observe")
    namespace = make_namespace(kubectl, {"colocation-webhook.io/ignore": "true"})
    yield Colocated(kubectl, node, namespace)
    kubectl.run("-n", namespace, "delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl.delete("namespace", namespace)


@pytest.mark.parametrize("end", ["agent.mode=observe", "agent.enabled=false", "uninstall"])
def test_helm_waits_for_the_agents(kubectl, chart, colocated, end):
    """When it has ended, every setting is as it was before the agent, and nothing of the agents is left."""
    chart.upgrade("--install")
    colocated.wait_for(colocated.after)
    if end == "uninstall":
        chart.uninstall()
    else:
        chart.upgrade(f"--set={end}")
    assert colocated.settings() == colocated.before
    if end != "agent.mode=observe":
        left = kubectl.items("job,role,serviceaccount,daemonset", namespace=NAMESPACE)
        assert not [each for each in left if "-agent" in each["metadata"]["name"]]
