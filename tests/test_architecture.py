"""The layers, the size and the names of modules, held by tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from webhook import protocol

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "webhook").rglob("*.py"))
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base", "core"}
MOST_LINES = 400
POLICIES = {
    protocol.FULL_PCPUS,
    protocol.FULL_PCPUS_ONLY,
    protocol.SPREAD_BY_PCPUS,
    protocol.CONSTRAINED_BURST,
    protocol.PCPU_LEVEL,
    protocol.NUMA_NODE_LEVEL,
    protocol.MOST_ALLOCATED,
    protocol.LEAST_ALLOCATED,
    protocol.BEST_EFFORT,
    protocol.RESTRICTED,
    protocol.SINGLE_NUMA_NODE,
}


def test_layers() -> None:
    """The contracts in pyproject.toml are kept: arrows point inwards, the core is pure.

    In a process of its own: import-linter switches off every logger that is there.
    """
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 — ours
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_can_be_read_in_one_go(path) -> None:
    """No module is longer than 400 lines."""
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_names_say_what_is_inside() -> None:
    """No module or package is named by a word that fits anything."""
    parts = {part.removesuffix(".py") for path in MODULES for part in path.relative_to(ROOT).parts}
    assert parts & NAMES_THAT_SAY_NOTHING == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are(path) -> None:
    """Each module begins with a docstring."""
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize("package", ["admission", "pods"])
def test_every_pure_module_has_tests(package) -> None:
    """Tests mirror modules: each pure module has a file of tests at the same place."""
    source, tests = ROOT / "webhook" / package, ROOT / "tests" / package
    modules = [path.relative_to(source) for path in source.rglob("[!_]*.py")]
    assert [str(path) for path in modules if not (tests / path.parent / f"test_{path.name}").exists()] == []


def test_names_of_policies_stand_in_the_protocol_only() -> None:
    """No other module spells a policy of CPU sets: it takes the name from ``webhook.protocol``."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in MODULES
        if path != ROOT / "webhook" / "protocol.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in POLICIES
    ]
    assert found == []
