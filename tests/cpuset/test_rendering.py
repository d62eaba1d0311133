"""Pictures show every CPU once and fit the terminal."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.qos import QoS
from webhook.cpuset.rendering import draw_node, draw_topology
from webhook.cpuset.sharing import NodeState, Pod, Reservations
from webhook.cpuset.topology import Topology


@given(topologies(60), st.integers(40, 120))
def test_every_cpu_once_within_the_width(topology: Topology, width: int) -> None:
    """Each CPU id stands in one thread row; no line is too wide."""
    drawn = draw_topology(topology, width=width)
    shown: list[int] = []
    for line in drawn.splitlines():
        assert len(line) <= width
        if line.startswith("    thread"):
            shown.extend(map(int, re.findall(r"\d+", line)[1:]))
    assert sorted(shown) == sorted(topology.position)


def test_node() -> None:
    """Every use of a CPU has its letter, and the letters are explained."""
    state = NodeState(
        parse_shape("1x1x4x2"),
        Reservations(reserved=frozenset({7}), system=frozenset({6}), kubelet_pinned=frozenset({5})),
    )
    state.assign(Pod("e", QoS.LSE, 2000))
    state.assign(Pod("r", QoS.LSR, 2000))
    assert (
        draw_node(state, {2, 4})
        == """\
socket 0
  NUMA node 0
    core      0   1   2   3
    thread 0  0E  2R+ 4L+ 6S
    thread 1  1E  3R  5K  7X

  E  LSE, alone on the CPU
  R  LSR, shared with BE only
  L  share pool of the LS pods
  S  system
  K  pinned by the kubelet
  X  reserved
  +  BE may run here now"""
    )


def test_paint() -> None:
    """Colours are put around the text and not counted."""
    topology = parse_shape("1x1x2x1")
    painted = draw_topology(topology, {0: "E"}, paint=lambda text, mark: f"<{mark}>{text}</>")
    assert "<E>0E</>" in painted
    assert re.sub(r"<[^>]*>", "", painted) == draw_topology(topology, {0: "E"})
