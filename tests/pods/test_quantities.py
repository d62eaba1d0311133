"""Quantities: exact, in every notation of Kubernetes and no other."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pods.quantity_model import in_milli, in_units, value_of
from webhook.pods.quantities import (
    MAX,
    NANO,
    QuantityError,
    canonical,
    milli,
    non_negative,
    parse,
    text_of,
    units,
)

SUFFIXES = ["", *"numkMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E3", "e-3", "E+2", "e0", "e18"]


def has_a_number(text: str) -> bool:
    """Return whether the oracle judges a text: what a point without digits means is not documented."""
    return any(c.isdigit() for c in text) and re.match(r"[+-]?\.(?![0-9])", text) is None


DIGITS = st.text("0123456789", max_size=12)
NUMBERS = st.builds(
    lambda sign, whole, point, fraction: sign + whole + (point and point + fraction),
    st.sampled_from(["", "+", "-"]),
    DIGITS,
    st.sampled_from(["", "."]),
    DIGITS,
).filter(has_a_number)
WELL_FORMED = st.builds(str.__add__, NUMBERS, st.sampled_from(SUFFIXES))
ALMOST = st.text("0123456789.+-eEinumkKMGTP _x", min_size=1, max_size=10).filter(has_a_number)


def answer(text: str) -> int | None:
    """Return what the parser says, None where it refuses."""
    try:
        return parse(text)
    except QuantityError:
        return None


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1", NANO),
        ("+1", NANO),
        ("-1", -NANO),
        (".5", NANO // 2),
        ("5.", 5 * NANO),
        ("500m", NANO // 2),
        ("1500000n", 1_500_000),
        ("1e3", 1000 * NANO),
        ("1E3", 1000 * NANO),
        ("1E", 10**18 * NANO),
        ("100e-3", NANO // 10),
        ("1.5Gi", 3 * 2**29 * NANO),
        ("1181116006400m", 1181116006400 * 10**6),
        ("0.1n", 1),
        ("-0.1n", -1),
        (str(MAX), MAX * NANO),
    ],
)
def test_values(text: str, nano: int) -> None:
    """A quantity has its exact value; less than a nano is rounded away from zero."""
    assert parse(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1K",
        "0x10",
        "1 Gi",
        " 1",
        "1\n",
        "1_000",
        "NaN",
        "Infinity",
        "1e3Ki",
        "1e400",
        "1e99999999999999999999",
        str(2**63),
        "9E18Ki",
        "8Ei",
        "1.1.1",
        "--1",
        "1mm",
        "1GiB",
        "1,5",
        "1i",
        "1e",
        "1e+",
        "-3.01e-",
        "0.1mi",
        "aoeu",
        "٣",
        "１",
        "1\u0660",
        "²",
        "1\0",
    ],
)
def test_refused(text: str) -> None:
    """What Kubernetes does not read as a quantity, or cannot keep, is refused with the text shown."""
    with pytest.raises(QuantityError, match=r"quantity|suffix|greater"):
        parse(text)


@given(WELL_FORMED)
def test_well_formed_quantities_have_the_value_of_exact_fractions(text: str) -> None:
    """Every notation has the value that exact arithmetic gives."""
    exact = value_of(text)
    assert answer(text) == (None if exact is None else exact * NANO)


@given(ALMOST)
def test_anything_else_is_judged_as_by_the_grammar(text: str) -> None:
    """Texts of the same characters are accepted exactly where the grammar accepts them."""
    exact = value_of(text)
    assert answer(text) == (None if exact is None else exact * NANO)


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text is a number or a QuantityError, whose message stays short."""
    try:
        parse(text)
    except QuantityError as error:
        assert len(str(error)) < 500


@given(WELL_FORMED.filter(lambda text: value_of(text) is not None))
def test_milli_and_units_round_up(text: str) -> None:
    """CPU is counted in milli-cores and memory in bytes, never less than was asked for."""
    assert milli(text) == in_milli(text)
    assert units(text) == in_units(text)


@given(st.one_of(st.integers(-(2**62), 2**62), st.floats(1e-9, 1e15)))
def test_bare_numbers_have_their_value(raw: float) -> None:
    """A number in JSON means what its text means."""
    assert parse(text_of(raw)) == value_of(repr(raw)) * NANO


@pytest.mark.parametrize("raw", [None, True, False, [], {}, [1], {"cpu": 1}])
def test_other_json_is_no_quantity(raw: object) -> None:
    """Neither text nor number: refused."""
    with pytest.raises(QuantityError):
        text_of(raw)


@given(WELL_FORMED)
def test_an_amount_of_a_resource_is_not_negative(text):
    """It is the quantity, or refused with its value."""
    try:
        value = parse(text)
    except QuantityError:
        value = -1
    if value >= 0:
        assert non_negative(text) == value
    else:
        with pytest.raises(QuantityError):
            non_negative(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0", "0"),
        ("0Ki", "0"),
        ("1", "1"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("2000", "2k"),
        ("1.5k", "1500"),
        ("1024", "1024"),
        ("1Ki", "1Ki"),
        ("1024Ki", "1Mi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.0005Ki", "512m"),
        ("1023Mi", "1023Mi"),
        ("1e3", "1e3"),
        ("1500e3", "1500e3"),
        ("1e-3", "1e-3"),
        ("10E", None),
        ("-1024Ki", "-1Mi"),
        ("100n", "100n"),
        ("1000000u", "1"),
    ],
)
def test_quantities_as_the_api_server_writes_them(text, written):
    """Kubernetes' canonical form: no fraction, the largest suffix that keeps the number whole."""
    if written is None:
        with pytest.raises(QuantityError):
            canonical(text)
    else:
        assert canonical(text) == written


@given(WELL_FORMED)
def test_the_canonical_form_is_another_text_of_the_same_value(text):
    """And its own canonical form."""
    try:
        nano = parse(text)
    except QuantityError:
        return
    written = canonical(text)
    assert parse(written) == nano
    assert canonical(written) == written
