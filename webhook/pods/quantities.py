"""Quantities, exact, in every notation that Kubernetes accepts and no other.

Source: Kubernetes ``apimachinery/pkg/api/resource`` (Quantity). A quantity is a
decimal number with an optional suffix: a binary one (Ki … Ei), a decimal one
(n u m k M G T P E) or an exponent (e3, E-2). Values are kept to a nano, rounded
away from zero as Kubernetes does.
"""

import re
from functools import lru_cache
from typing import Final

from webhook.pods.text import shown

NANO: Final = 10**9
MAX: Final = 2**63 - 1  # the greatest value that Kubernetes keeps

_FORM = re.compile(r"([+-]?)(?=[0-9.])([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIXES: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,18})", re.ASCII)
# Beyond these an exponent cannot matter: 10^20 is over MAX, 10^-60 of any
# number short enough to be read is under a nano.
_MAX_DIGITS: Final = 64
_MAX_EXPONENT: Final = 128


class QuantityError(ValueError):
    """A text that is not a quantity, or a quantity out of range; the message says which."""


@lru_cache(maxsize=8192)
def parse(text: str) -> int:
    """Return the value of ``text`` in nano units, rounded away from zero.

    Raises:
        QuantityError: not a quantity, or outside ±(2^63 - 1).
    """
    form = _FORM.fullmatch(text) if text and len(text) <= _MAX_DIGITS else None
    if form is None:
        raise QuantityError(
            f"{shown(text)} is not a quantity: write a number and an optional suffix, "
            "such as 500m, 2, 1.5Gi or 100M"
        )
    sign, whole, fraction, suffix = form.groups()
    digits = int(f"0{whole}{fraction or ''}")
    exponent = 9 - len(fraction or "")
    factor = 1
    if suffix in _BINARY:
        factor = _BINARY[suffix]
    elif suffix in _DECIMAL:
        exponent += _DECIMAL[suffix]
    elif scientific := _EXPONENT.fullmatch(suffix):
        exponent += max(-_MAX_EXPONENT, min(_MAX_EXPONENT, int(scientific[1])))
    else:
        raise QuantityError(
            f"{shown(text)} has the unknown suffix {shown(suffix)}: use one of "
            f"{', '.join(_BINARY)} or {', '.join(filter(None, _DECIMAL))}"
        )
    scaled: int = digits * factor
    nano: int = scaled * 10**exponent if exponent >= 0 else -(-scaled // 10**-exponent)
    if nano > MAX * NANO:
        raise QuantityError(f"{shown(text)} is greater than 2^63 - 1")
    return -nano if sign == "-" else nano


@lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """Return a quantity as the API server writes it: ``0.5`` as ``500m``, ``1024Mi`` as ``1Gi``.

    Raises:
        QuantityError: as ``parse`` does.
    """
    nano = parse(text)
    form = _FORM.fullmatch(text)
    suffix = form[4] if form else ""
    # As Kubernetes does: below 1024, and with a fraction, a binary quantity is written as a decimal one.
    if suffix in _BINARY and not nano % NANO and abs(nano) >= 1024 * NANO:
        whole, power = nano // NANO, 0
        while whole and not whole % 1024 and power < len(_BINARY):
            whole, power = whole // 1024, power + 1
        return f"{whole}{('', *_BINARY)[power]}"
    exponent = -9
    while nano and not nano % 1000 and exponent < _DECIMAL["E"]:
        nano, exponent = nano // 1000, exponent + 3
    if not nano:
        return "0"
    if _EXPONENT.fullmatch(suffix):
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_SUFFIXES[exponent]}"


def text_of(raw: object) -> str:
    """Return the text of a quantity as it stands in JSON, where a bare number is allowed.

    Raises:
        QuantityError: neither text nor number.
    """
    if isinstance(raw, str):
        return raw
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return repr(raw).replace("e+", "e")
    raise QuantityError(f"{shown(raw)} is not a quantity: write a text or a number")


@lru_cache(maxsize=8192)
def non_negative(text: str) -> int:
    """Return the value of ``text`` in nano units, as ``parse`` does, for an amount of a resource.

    Raises:
        QuantityError: not a quantity, out of range or less than zero.
    """
    value = parse(text)
    if value < 0:
        raise QuantityError(f"{shown(text)} is negative: write a number from 0 up")
    return value


def milli(text: str) -> int:
    """Return ``text`` in thousandths, rounded up (as CPU is counted: milli-cores)."""
    return -(-parse(text) // (NANO // 1000))


def units(text: str) -> int:
    """Return ``text`` in whole units, rounded up (as memory is counted: bytes)."""
    return -(-parse(text) // NANO)
