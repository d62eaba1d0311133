"""lscpu's output in every version and language: one machine, printed in many ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.discovery import topology_from_lscpu
from webhook.cpuset.errors import TopologyError
from webhook.cpuset.topology import Topology

_COLUMNS = ("cpu", "node", "socket", "core", "online", "maxmhz", "l1d:l1i:l2", "modelname")


def rows(topology: Topology, offline: list[int], words: tuple[str, str], mhz: str) -> list[dict[str, Any]]:
    """Return rows by column, with None for nothing; CPUs that are offline have no place."""
    found: list[dict[str, Any]] = [
        {
            "cpu": at.cpu,
            "node": at.node,
            "socket": at.socket,
            "core": at.core,
            "online": words[0],
            "maxmhz": mhz,
            "l1d:l1i:l2": "0:0:0",
            "modelname": "Model",
        }
        for at in topology.places
    ]
    nothing = dict.fromkeys(_COLUMNS)
    return found + [nothing | {"cpu": cpu, "online": words[1]} for cpu in offline]


@st.composite
def printed(draw: st.DrawFn) -> tuple[Topology, str]:
    """A machine and what some lscpu prints of it."""
    topology = draw(topologies())
    offline = draw(st.lists(st.integers(1000, 1009), unique=True, max_size=3))
    word_pairs = [("yes", "no"), ("ja", "nein"), ("Y", "N"), ("oui", "non"), ("是", "否"), ("yes", "yes")]
    words = draw(st.sampled_from(word_pairs))
    made = rows(topology, offline, words, draw(st.sampled_from(["3000.0000", "3000,0000"])))
    made = draw(st.permutations(made))
    form = draw(st.sampled_from(["json", "table", "parsable"]))
    columns = draw(st.permutations(_COLUMNS if form == "json" else _COLUMNS[:5]))
    if form == "json":
        return topology, as_json(draw, made, columns)
    if form == "table":
        lines = [[column.upper() for column in columns]]
        lines += [["-" if row[column] is None else str(row[column]) for column in columns] for row in made]
        return topology, "\n".join("".join(f"{cell:>7} " for cell in line) for line in lines) + "\n"
    lines = [["" if row[column] is None else str(row[column]) for column in columns] for row in made]
    header = "# The following is the parsable format\n# CPU ids start with zero.\n# "
    names = ",".join(column.capitalize() for column in columns)
    return topology, header + names + "\n" + "\n".join(",".join(line) for line in lines) + "\n"


def as_json(draw: st.DrawFn, made: list[dict[str, Any]], columns: list[str]) -> str:
    """Print rows as JSON: all values as text, or numbers bare; what is nothing in one of three ways."""
    nothing = draw(st.sampled_from(["-", '"-"', "null"]))
    bare = draw(st.booleans())
    gap, line = draw(st.sampled_from([("", ""), (" ", "\n"), (" ", "\n         ")]))

    def value(row: dict[str, Any], column: str) -> str:
        if row[column] is None:
            return nothing
        if bare and column == "online" and row[column] in ("yes", "no"):
            return "true" if row[column] == "yes" else "false"
        if bare and column not in ("online", "l1d:l1i:l2", "modelname"):
            return str(row[column])
        return f'"{row[column]}"'

    texts = []
    for row in made:
        cells = f",{line}".join(f'"{column}":{gap}{value(row, column)}' for column in columns)
        texts.append(f"{{{line}{cells}{line}}}")
    return f'{{{line}"cpus":{gap}[{",".join(texts)}]{line}}}'


@given(printed())
def test_every_version(case: tuple[Topology, str]) -> None:
    """The machine is read, however it is printed; CPUs without a core are left out."""
    topology, text = case
    assert topology_from_lscpu(text) == topology


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("CPU CORE\n0 x\n", r"lscpu line 2\.core 'x': is not a number"),
        ("CPU CORE SOCKET\n0 0\n", r"lscpu line 2 '0 0': has 2 cells under 3 columns"),
        ("CPU NODE\n0 0\n", "has no column CORE"),
        ("Architecture: x86_64\nCPU(s): 2\n", "line 1 .*names no column CPU"),
        ("# CPU,MaxMHz,Core\n0,3000,0000,0\n", "has 4 cells under 3 columns"),
        ("", "has no column CPU"),
        ("0,0,0,0,,0,0,0,0\n", "names no column CPU"),
        ('{"lscpu": []}', "lists no CPUs"),
        ('{"cpus": [3]}', r"lscpu.cpus\[0\] 3: is not an object"),
        ('{"cpus": [{"cpu": 0, "core": "x", "node": 0}]}', r"cpus\[0\].core 'x': is not a number"),
        ('{"cpus": [{"cpu": -, "core": 0}]}', "cpus.0..cpu '-': is not a number"),
        ('{"cpus": [{"cpu": 0, "core": -}]}', "lists no CPU that is online"),
        ('{"cpus": [{"cpu": 0, "core": 0', "is not JSON"),
        ('{"cpus": ' + "[" * 100_000, "is not JSON"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    """What cannot be read is refused with its row and column, and what to give instead."""
    with pytest.raises(TopologyError, match=problem) as caught:
        topology_from_lscpu(text)
    assert "lscpu -e=CPU,NODE,SOCKET,CORE,ONLINE" in str(caught.value)


def test_sockets_of_a_mainframe() -> None:
    """Sockets are numbered within a book, and books within a drawer; without books by their own number."""
    lines = [f"{cpu} {cpu // 4} {cpu // 2 % 2} 0 {cpu} yes" for cpu in range(8)]
    topology = topology_from_lscpu("CPU DRAWER BOOK SOCKET CORE ONLINE\n" + "\n".join(lines))
    assert [place.socket for place in topology.places] == [0, 0, 1, 1, 2, 2, 3, 3]
    plain = topology_from_lscpu("CPU SOCKET CORE\n0 36 0\n1 41 1\n")
    assert [place.socket for place in plain.places] == [36, 41]
