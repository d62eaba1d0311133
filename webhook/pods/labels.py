"""Syntax of label keys and values, as the API server checks it.

Source: Kubernetes, "Labels and Selectors", syntax and character set.
"""

import re

from webhook.pods.text import shown

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_MAX_PREFIX = 253

VALUE_RULE = "at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"


def key_problem(key: str) -> str | None:
    """Say what is wrong with a label or annotation key, or None."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        return f"key {shown(key)}: the part before '/' must be a DNS subdomain"
    if not _NAME.fullmatch(name):
        return f"key {shown(key)}: the name must be {VALUE_RULE}"
    return None


def value_problem(value: str) -> str | None:
    """Say what is wrong with a label value, or None; the empty value is valid."""
    if value and not _NAME.fullmatch(value):
        return f"value {shown(value)} must be {VALUE_RULE}"
    return None
