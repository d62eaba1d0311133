"""Suppression a second time, from the specification's sentences, by other means: it judges decisions.

Nothing of webhook.agent.suppression or webhook.cpuset.suppression is used here.
"""

import math
from decimal import Decimal

ORDER = (
    "an LSE pod's, reserved, or a SYSTEM pod's alone",
    "their number",
    "the share of LSR CPUs",
    "cores in part",
    "NUMA nodes",
    "CPUs that change",
)
"""What is compared of two sets of CPUs, the first first."""


def budget(*, cpus, percent, node, pods, by_pod, suppressed, reserved=0, least=0):  # noqa: PLR0913
    """Milli-cores: the threshold's share, less what all others use; ``pods`` and others are cores."""
    own = sum(Decimal(str(by_pod[uid])) for uid in suppressed if uid in by_pod)
    others = max(Decimal(0), Decimal(str(pods)) - own) * 1000
    system = max(Decimal(0), (Decimal(str(node)) - Decimal(str(pods))) * 1000, Decimal(reserved))
    left = Decimal(cpus * 1000 * percent // 100) - others - system
    return max(left, Decimal(cpus * 1000 * least // 100)) if least else left


def most_cpus(milli, machine, has, least):
    """CPUs that a budget allows at most: whole ones, rounded up, not fewer than the least, one step more."""
    wanted = max(least, math.ceil(Decimal(milli) / 1000))
    return wanted if has is None else min(wanted, has + math.ceil(Decimal(machine) / 10))


def cost(places, cpus, wanted, *, allowed, lsr, old):
    """What a set of CPUs costs, a number for each line of ORDER; ``places`` are (cpu, core, NUMA node)."""
    left = {cpu for cpu, *_ in places} & allowed
    take = min(wanted, len(left))
    share = take * len(left & lsr) // len(left) if left else 0
    threads, nodes = {}, {}
    for cpu, core, node in places:
        threads.setdefault(core, set()).add(cpu)
        nodes.setdefault(node, set()).add(cpu)
    in_part = sum(1 for each in threads.values() if 0 < len(each & cpus) < len(each))
    by_node = [len(each & cpus) for each in nodes.values()]
    return (
        len(cpus - allowed),
        abs(len(cpus) - wanted),
        abs(len(cpus & lsr) - share),
        in_part,
        max(by_node) - min(by_node),
        len(cpus - old),
    )


def places_of(shape):
    """The places of a machine of the reference data: (cpu, core, NUMA node)."""
    cores, threads = shape["coresPerNuma"], shape["threadsPerCore"]
    nodes = shape["sockets"] * shape["numaPerSocket"]
    whole = cores * nodes

    def number(core, thread):
        if shape["numbering"] == "adjacent":
            return core * threads + thread
        if shape["numbering"] == "linux":
            return thread * whole + core
        return thread * whole + core % cores * nodes + core // cores

    return [(number(core, t), core, core // cores) for core in range(whole) for t in range(threads)]
