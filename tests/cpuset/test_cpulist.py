"""Cpulists are read and written as the kernel does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cpuset.cpulist import MAX_CPU_ID, format_cpulist, parse_cpulist
from webhook.cpuset.errors import CpuListError


@given(st.frozensets(st.integers(0, MAX_CPU_ID) | st.integers(0, 70)))
def test_round_trip(cpus: frozenset[int]) -> None:
    """What is written reads back the same."""
    assert parse_cpulist(format_cpulist(cpus)) == cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", set()),
        ("\n", set()),
        ("0", {0}),
        ("0-3,8\n", {0, 1, 2, 3, 8}),
        ("8,0-1,1", {0, 1, 8}),
        (" 2-2 ", {2}),
        ("0-10:2/5", {0, 1, 5, 6, 10}),
        ("007", {7}),
    ],
)
def test_read(text: str, cpus: set[int]) -> None:
    """Lists, ranges, groups, overlaps; the empty text is the empty set."""
    assert parse_cpulist(text) == cpus


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5-3", "a range runs backwards at character 1"),
        ("0,,1", "is not valid syntax at character 3"),
        ("0,", "is not valid syntax at character 3"),
        ("a", "is not valid syntax at character 1"),
        ("0-3:2", "is not valid syntax"),
        ("0-3:5/2", "is not valid syntax"),
        ("0-3:1/0", "valid syntax"),
        ("-1", "is not valid syntax"),
        ("1 2", "is not valid syntax"),
        ("٣", "is not valid syntax"),
        ("0\0", "is not valid syntax"),
        ("\ud800", "is not valid syntax"),
        ("0-65536", "a CPU id is above 65535"),
        ("9" * 400, "a CPU id is above 65535"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    """A refusal carries the text, the place and the remedy."""
    with pytest.raises(CpuListError, match=problem) as caught:
        parse_cpulist(text)
    assert caught.value.value is text
    assert "0-3,8" in caught.value.remedy


@given(st.text(alphabet="0123456789,-:/ \n\tx", max_size=20) | st.text(max_size=20))
def test_any_text(text: str) -> None:
    """Any text is read or refused, and what is read can be written."""
    try:
        cpus = parse_cpulist(text)
    except CpuListError as error:
        assert error.value == text
    else:
        assert parse_cpulist(format_cpulist(cpus)) == cpus


@pytest.mark.parametrize("cpu", [-1, 65536, 1.0, "1", True, None])
def test_no_cpu_id(cpu: object) -> None:
    """Only CPU ids are written."""
    with pytest.raises(CpuListError) as caught:
        format_cpulist([cpu])  # type: ignore[list-item]
    assert caught.value.value is cpu


@pytest.mark.parametrize("value", [None, 3, b"0", ["0"]])
def test_only_text_is_read(value: object) -> None:
    """What is no text is refused with its value."""
    with pytest.raises(CpuListError, match="is not text"):
        parse_cpulist(value)  # type: ignore[arg-type]
