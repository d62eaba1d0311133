"""Quantities by exact fractions: an independent oracle, written from the documentation.

Source: Kubernetes API conventions, "Quantity": ``<signedNumber><suffix>`` with a suffix
Ki … Ei, m, "", k … E (and n, u), or a decimal exponent e/E. A number has at least one
digit; texts without any are outside of what the oracle judges.
"""

import re
from fractions import Fraction

NUMBER = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(.*)", re.ASCII | re.DOTALL)
EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)
SUFFIXES = {
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    "": Fraction(1),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
}
NANO = Fraction(1, 10**9)
LARGEST = 2**63 - 1


def value_of(text: object) -> Fraction | None:
    """Return the value, rounded away from zero to a nano; None: Kubernetes would refuse it."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    form = NUMBER.fullmatch(str(text))
    if form is None:
        return None
    sign, number, suffix = form.groups()
    if suffix in SUFFIXES:
        factor = SUFFIXES[suffix]
    elif exponent := EXPONENT.fullmatch(suffix):
        factor = Fraction(10) ** int(exponent[1])
    else:
        return None
    exact = Fraction(number) * factor
    rounded = -(-exact // NANO) * NANO
    if rounded > LARGEST:
        return None
    return -rounded if sign == "-" else rounded


def in_milli(text: object) -> int:
    """Return a valid quantity in thousandths, rounded up."""
    value = value_of(text)
    assert value is not None
    return -(-value * 1000 // 1)


def in_units(text: object) -> int:
    """Return a valid quantity in whole units, rounded up."""
    value = value_of(text)
    assert value is not None
    return -(-value // 1)
