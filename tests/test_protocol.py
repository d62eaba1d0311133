"""The tables of the protocol agree with each other and with what is documented."""

import itertools
import re
from pathlib import Path

import pytest

from tests.project.rules_document import rules_document
from webhook import protocol
from webhook.admission.profiles.profile import FIELDS
from webhook.admission.validating.rules import RULES
from webhook.pods.labels import key_problem
from webhook.protocol import Action

ROOT = Path(__file__).parents[1]


def test_the_rules_are_documented() -> None:
    """``docs/rules.md`` is what the tables say."""
    assert (ROOT / "docs" / "rules.md").read_text() == rules_document() + "\n"


def test_every_field_of_a_profile_has_a_place_on_the_map() -> None:
    """CONTRIBUTING says of each field where it takes effect, and the place exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for field in FIELDS:
        row = next(line for line in text.splitlines() if line.startswith("|") and f"`{field}`" in line)
        paths = re.findall(r"`(admission/[\w/]+\.py)`", row)
        functions = re.findall(r"`(_?[a-z_]+)`", row.split("|")[2])
        assert paths, field
        sources = "".join((ROOT / "webhook" / path).read_text() for path in paths)
        assert all(f"def {name}(" in sources for name in functions), field


def test_every_module_is_on_the_map() -> None:
    """CONTRIBUTING's map names each module of the core."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    modules = {path.name for path in (ROOT / "webhook" / "admission").rglob("*.py")} - {"__init__.py"}
    assert {module for module in modules if module not in text} == set()


def test_the_matrix_is_complete() -> None:
    """Rows are the QoS classes and none, columns the bands and none, cells are actions."""
    assert set(protocol.QOS_PRIORITY_MATRIX) == protocol.QOS_CLASSES | {protocol.NONE}
    bands = [band.name for band in protocol.PRIORITY_BANDS]
    assert [*bands, protocol.NONE] == list(protocol.PRIORITY_COLUMNS)
    for row in protocol.QOS_PRIORITY_MATRIX.values():
        assert tuple(row) == protocol.PRIORITY_COLUMNS
        assert all(isinstance(action, Action) for action in row.values())


def test_the_matrix_is_the_one_of_the_specification() -> None:
    """Admission §3.8: the table, row by row."""
    expected = {
        "LSE": "ok deny deny deny deny",
        "LSR": "ok deny deny deny deny",
        "LS": "ok ok warn warn ok",
        "BE": "deny ok ok ok warn",
        "SYSTEM": "ok ok ok ok ok",
        "none": "ok ok ok ok ok",
    }
    words = {Action.OFF: "ok", Action.WARN: "warn", Action.DENY: "deny"}
    written = {
        qos: " ".join(words[action] for action in row.values())
        for qos, row in protocol.QOS_PRIORITY_MATRIX.items()
    }
    assert written == expected


def test_every_cell_has_a_rule() -> None:
    """Each cell of the matrix can be set by a name of its own."""
    cells = {
        f"qos-priority/{qos}-{column.removeprefix('koord-')}": action
        for qos, row in protocol.QOS_PRIORITY_MATRIX.items()
        for column, action in row.items()
    }
    assert cells.items() <= {name: rule.action for name, rule in RULES.items()}.items()


def test_bands_are_disjoint_and_hold_their_values() -> None:
    """No value of spec.priority lies in two bands; a class's own value lies in its band."""
    bands = sorted(protocol.PRIORITY_BANDS, key=lambda band: band.lowest)
    for lower, higher in itertools.pairwise(bands):
        assert lower.highest < higher.lowest
    for band in bands:
        assert band.lowest <= band.value <= band.highest
        assert protocol.BUILTIN_PRIORITY_CLASSES[band.name] == band.value


def test_only_batch_and_mid_are_translated() -> None:
    """The rows of the translation are known classes, and no two resources become one."""
    assert set(protocol.TRANSLATION) == {protocol.BATCH, protocol.MID}
    targets = [name for table in protocol.TRANSLATION.values() for name in table.values()]
    assert len(targets) == len(set(targets)) == len(protocol.COLOCATION_RESOURCES)
    for table in protocol.TRANSLATION.values():
        assert tuple(table) == protocol.NATIVE_RESOURCES


@pytest.mark.parametrize("name", sorted(n for n in vars(protocol) if n.startswith(("LABEL_", "ANNOTATION_"))))
def test_names_are_valid_keys(name) -> None:
    """Every label and annotation is a key that Kubernetes accepts."""
    assert key_problem(getattr(protocol, name)) is None


def test_names_of_our_own_have_our_prefix() -> None:
    """What Koordinator does not know stands under our prefix."""
    own = {value for name, value in vars(protocol).items() if name.startswith(("LABEL_", "ANNOTATION_"))}
    foreign = ("koordinator.sh/", ".koordinator.sh/", "kubernetes.io/")
    for value in own:
        assert value.startswith(protocol.OWN_PREFIX) or any(part in value for part in foreign)


def test_tables_cannot_be_written_to() -> None:
    """The tables are constants."""
    for table in (protocol.TRANSLATION, protocol.QOS_PRIORITY_MATRIX, protocol.BUILTIN_PRIORITY_CLASSES):
        with pytest.raises(TypeError):
            table["new"] = None
