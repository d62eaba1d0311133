"""No test asserts how long something took."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}


def timed_assertions(source) -> list[int]:
    """The lines where the source asserts on how long something took.

    That is the difference of a clock's reading and something that is no constant (``time.time() - 10`` is a
    moment), written in the assertion or given a name in the same function. A dictionary of figures that are
    reported is no duration.
    """

    def reads_clock(node) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and (node.func.value.id, node.func.attr in CLOCKS) == ("time", True)
        )

    def parts(node, kind) -> list[ast.AST]:
        return [each for each in ast.walk(node) if isinstance(each, kind)]

    def is_duration(node) -> bool:
        sides = [(each.left, each.right) for each in parts(node, ast.BinOp) if isinstance(each.op, ast.Sub)]
        return any(
            any(map(reads_clock, pair)) and not any(isinstance(side, ast.Constant) for side in pair)
            for pair in sides
        )

    found = set()
    for function in parts(ast.parse(source), (ast.FunctionDef, ast.AsyncFunctionDef)):
        durations = {
            name.id
            for assigned in parts(function, ast.Assign)
            if is_duration(assigned.value) and not isinstance(assigned.value, ast.Dict)
            for target in assigned.targets
            for name in parts(target, ast.Name)
        }
        for asserted in parts(function, ast.Assert):
            named = {name.id for name in parts(asserted.test, ast.Name)}
            if is_duration(asserted.test) or named & durations:
                found.add(asserted.lineno)
    return sorted(found)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_asserts_a_duration(path) -> None:
    """Which connection closed, what came first, how often: how long it took depends on the machine."""
    assert timed_assertions(path.read_text()) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("a = time.monotonic(); f()\n assert time.monotonic() - a < 5", [3]),
        ("a = time.time(); f(); took = max(0, time.time() - a)\n assert 1 < took", [3]),
        ("assert expiry > time.time() - 10", []),
        ("assert expiry > time.time() + 10", []),
        ("end = time.monotonic() + 5\n assert time.monotonic() < end", []),
        ("figures = {'s': time.time() - a, 'n': 1}\n assert figures['n']", []),
        ("print(time.monotonic() - a)\n assert count - before == 3", []),
    ],
)
def test_durations_are_found(body, lines) -> None:
    """Readings of a clock that are subtracted; moments, deadlines and figures that are only printed pass."""
    assert timed_assertions(f"def f():\n {body}\n") == lines
