"""The layers, the size, the names and the words of modules, held by tests."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from webhook import protocol

ROOT = Path(__file__).parents[2]
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

# Names that were replaced by those of the Kubernetes API, client-go, cert-controller and Koordinator.
FORMER_MODULES = {
    "apiserver": "cli/preview/defaulting",
    "checking": "certificates/verifying",
    "configuration": "certificates/cabundle",
    "cpusets": "cli/serve/bindingflags",
    "door": "server/endpoint",
    "judgement": "binding/audit",
    "overview": "binding/metrics",
    "keeper": "certificates/rotator",
    "machine": "pods/nodes/nodetopology",
    "making": "certificates/issuing",
    "managed": "cli/serve/certificateflags",
    "picture": "cluster/cache, binding/rendering or cpuset/rendering",
    "profilestatus": "cluster/statuswriter",
    "seed": "binding/recovery",
    "shelves": "binding/caches",
    "sources": "cpuset/discovery",
    "wish": "pods/resourcespec",
}
FORMER_CLASSES = {
    "Beside": "Task",
    "Door": "Endpoint",
    "Keeper": "Rotator",
    "Kept": "Store",
    "Look": "a reason in binding/audit",
    "Machine": "NodeTopology",
    "Picture": "ClusterCache",
    "Shelf": "Store",
    "Told": "Event",
    "Wish": "CPUSetRequest",
    "WishError": "an error of resourcespec",
}
# Words with what to write instead.
WORDS = {
    "anew": "again",
    "beside": "next to, together with, besides",
    "books": "metrics",
    "door": "entry point, endpoint",
    "keeper": "rotator",
    "no good": "invalid",
    "odd": "name the problem",
    "picture": "view, cache, drawing",
    "shelf": "store",
    "stranger": "unknown, unauthenticated",
    "tell": "return, report, log, record",
    "tells": "returns, reports, logs, records",
    "told": "reported, logged, recorded",
    "what there is": "name it",
    "wish": "request",
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


def test_former_names_of_modules_do_not_come_back() -> None:
    """No module or package has a name that was replaced."""
    back = {
        str(path.relative_to(ROOT)): f"{path.stem} is now {FORMER_MODULES[path.stem]}"
        for path in MODULES
        if path.stem in FORMER_MODULES
    }
    assert not back, f"modules with a former name: {back}"


def test_former_names_of_classes_do_not_come_back() -> None:
    """No identifier has a name that was replaced; a sentence may still begin with such a word."""
    back = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string} is now {FORMER_CLASSES[token.string]}"
        for path in MODULES
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.NAME and token.string in FORMER_CLASSES
    ]
    assert not back, "identifiers with a former name:\n" + "\n".join(back)


def test_words_are_those_of_the_field() -> None:
    """Docstrings, messages and names are plain English."""
    pattern = re.compile(rf"(?<![a-z])({'|'.join(map(re.escape, WORDS))})(?![a-z])", re.IGNORECASE)
    back = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]!r}: write {WORDS[word[0].lower()]}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for word in pattern.finditer(line)
    ]
    assert not back, "words that only this project uses:\n" + "\n".join(back)


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
