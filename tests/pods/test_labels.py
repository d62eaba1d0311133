"""Syntax of label keys and values."""

import pytest

from webhook.pods.labels import key_problem, value_problem


@pytest.mark.parametrize("key", ["a", "app", "a/b", "example.com/A_b.c-d", "x" * 63, "a" * 253 + "/b", "0"])
def test_valid_keys(key) -> None:
    """Keys that Kubernetes accepts."""
    assert key_problem(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "-a",
        "a-",
        "a b",
        "a/b/c",
        "A.com/b",
        "x" * 64,
        "a" * 254 + "/b",
        "é",
        "a\n",
        "a..b/c",
        "a_b/c",
    ],
)
def test_invalid_keys(key) -> None:
    """Keys that Kubernetes refuses, and the message shows the key."""
    assert "key" in (key_problem(key) or "")


@pytest.mark.parametrize("value", ["", "a", "A.b_c-d", "0", "x" * 63])
def test_valid_values(value) -> None:
    """Values that Kubernetes accepts, the empty one among them."""
    assert value_problem(value) is None


@pytest.mark.parametrize("value", ["-", "a-", ".a", "a b", "a/b", "x" * 64, "é", "a\n", "\0", "١"])
def test_invalid_values(value) -> None:
    """Values that Kubernetes refuses."""
    assert value_problem(value) is not None
