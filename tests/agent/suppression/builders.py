"""Nodes, budgets and decisions for tests of suppression."""

from tests.agent.plan.builders import a_node
from webhook.agent.suppression.budget import Budget
from webhook.agent.suppression.decision import Decision, Options, decide
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod
from webhook.slo.keys import CFS_QUOTA, CPUSET
from webhook.slo.nodeslo import read_nodeslo


def thresholds(**fields):
    """What a NodeSLO with these fields says."""
    return read_nodeslo({"resourceUsedThresholdWithBE": fields}).threshold


ON = thresholds(enable=True)
QUOTA = thresholds(enable=True, cpuSuppressPolicy=CFS_QUOTA)


def cpus(text):
    """The CPUs of a list."""
    return parse_cpulist(text)


def state(shape="1x1x8x2", lse="", lsr="", node=None):
    """A node of this shape where LSE and LSR pods hold these CPUs."""
    node = node or a_node(shape)
    found = NodeState(node.cpu_topology, node.reservations)
    held = [(QoS.LSE, cpus(lse)), (QoS.LSR, cpus(lsr))]
    found.hold((Pod(str(kind), kind, len(mine) * 1000), mine) for kind, mine in held if mine)
    return found


def a_budget(milli, machine=16, given=ON):
    """A budget that comes to so many milli-cores."""
    room = machine * 1000 * given.cpu_suppress_threshold_percent // 100
    capacity = machine * 1000
    if milli > room:  # more than a machine of that size has: recorded cases say so
        capacity, room = (milli * 100 // given.cpu_suppress_threshold_percent + 2), 0
        room = capacity * given.cpu_suppress_threshold_percent // 100
    return Budget(capacity, given, suppressed=0, pods=room - milli, system=0)


def on(text):
    """A decision that stands: these CPUs."""
    return Decision(CPUSET, cpus(text), inputs={"budget": "0"})


def decided(milli, node=None, before=None, *, least=2, given=ON, pressure="", machine=16):  # noqa: PLR0913
    """What is decided by a budget of so many milli-cores."""
    budget = a_budget(milli, machine, given)
    return decide(budget, Options(least), node or state(), before, pressure=pressure)
