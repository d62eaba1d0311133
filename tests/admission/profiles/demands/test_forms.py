"""The forms of texts and numbers."""

import pytest

from tests.admission.reviews.randomvalues import VALUES
from webhook.admission.profiles.demands.forms import entry_problem, form_problem
from webhook.admission.profiles.podschema import FORMS, object_types

MAPS = {"annotation", "label", "resource"}


@pytest.mark.parametrize("form", sorted(FORMS.keys() - MAPS))
def test_values_of_each_form(form) -> None:
    """Random pods have valid and invalid values of each form: each is known for what it is."""
    valid, invalid = VALUES[form]
    assert [form_problem(form, value) for value in valid] == [None] * len(valid)
    assert [value for value in invalid if form_problem(form, value) is None] == []
    assert invalid


@pytest.mark.parametrize(
    ("form", "taken", "refused"),
    [
        (
            "IP address",
            ["010.0.0.1", "::ffff:1.2.3.4", "FE80::1", "::ffff:010.1.1.1", "2001:00db8::1"],
            ["1.2.3.4.5", "localhost", ""],
        ),
        ("Windows user", ["x" * 104, "a" * 15 + "\\u", "a-b.c.d.example.org\\u"], ["x" * 105, ".a\\u"]),
        ("absolute path", ["/", "/../a"], ["a", "./a"]),
        ("image", ["a b", "a\x1f"], ["a ", "\ta", "a\x85"]),
        ("search domain", ["a_b", "x" * 63 + ".", "_tcp._b"], ["__a", "a_", "..", ""]),
        ("iSCSI name", ["iqn.2001-04.a:b:c"], ["iqn.2001-04.a", "iqn.01-04.a:b", "naa.5", "IQN.2001-04.a:b"]),
        ("sysctl", ["a.b/c_d", "a-b"], ["a.", "a b", "_a"]),
        ("1..3", [1, 3], [0, 4]),
        ("a|b", ["a"], ["", "c"]),
    ],
)
def test_more_values(form, taken, refused) -> None:
    """Values at the edge of a form."""
    assert [form_problem(form, value) for value in taken] == [None] * len(taken)
    assert [value for value in refused if form_problem(form, value) is None] == []


@pytest.mark.parametrize(
    ("form", "key", "value", "valid"),
    [
        ("resource", "cpu", "1m", True),
        ("resource", "storage", "1", False),
        ("resource", "hugepages-2Mi", "4194303.5", True),
        ("resource", "hugepages-2Mi", "1", False),
        ("resource", "hugepages-x", "1", False),
        ("resource", "hugepages--1m", "1", False),
        ("resource", "hugepages-0", "1", False),
        ("resource", "example.com/a", "999999999n", True),
        ("resource", "example.com/a", "500m", False),
        ("resource", "a.kubernetes.io/b", "500m", True),
        ("resource", "requests.example.com/a", "1", False),
        ("resource", "a" * 244 + "/b", "1", True),
        ("resource", "a" * 245 + "/b", "1", False),
        ("quantity", "what", "1", True),
        ("label", "a", "", True),
        ("label", "a", "b c", False),
        ("annotation", "A.b/C", "b c", True),
        ("annotation", "a b", "", False),
    ],
)
def test_entries_of_maps(form, key, value, valid) -> None:
    """Names of resources with amounts, labels and annotations."""
    assert (entry_problem(form, key, value) is None) is valid


def test_a_name_that_takes_long_to_match_is_left_to_the_api_server() -> None:
    """As are all of more than a thousand characters."""
    assert form_problem("iSCSI name", "iqn" + "iqn.2000-01.aaaa" * 60) is not None
    assert form_problem("iSCSI name", "iqn" + "iqn.2000-01.aaaa" * 100_000) is None


def test_each_form_is_that_of_a_field() -> None:
    """No form is left over, and each has a check."""
    forms = {field.form for fields in object_types().values() for field in fields.values()}
    named = {form for form in forms if form and "|" not in form and not form[0].isdigit() and form[0] != "-"}
    assert named == set(FORMS)
