"""The table of validation rules."""

import pytest

from webhook.admission.validating.rules import RULES, matrix_rule
from webhook.admission.validating.validation import action_of
from webhook.protocol import Action


@pytest.mark.parametrize("name", RULES)
def test_each_rule_can_be_set(name) -> None:
    """Admission §3.8: deny, warn or off, by the rule's name; the default where nothing is set."""
    assert action_of(name, {}) == RULES[name].action
    for action in Action:
        assert action_of(name, {name: action}) == action


@pytest.mark.parametrize("name", RULES)
def test_each_rule_says_what_it_is_about(name) -> None:
    """A rule has a name for settings and a meaning for people."""
    assert name.replace("-", "").replace("/", "").isalnum()
    assert RULES[name].meaning


def test_names_of_the_matrix() -> None:
    """The rule of a cell is named after its row and column."""
    assert matrix_rule("LSE", "koord-batch") == "qos-priority/LSE-batch"
    assert matrix_rule("none", "none") == "qos-priority/none-none"
