"""Files of both versions, and weights by both formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.agent.plan.settings import Weights
from webhook.agent.plan.target import UNLIMITED, Knob
from webhook.agent.writing.files import (
    file_of,
    knob_of,
    most_burst,
    parse,
    render,
    same,
    stored,
    weight_of,
    weights_by,
)

SHARES = [2, 102, 256, 512, 1024, 2048, 2560, 4096, 262144]
LINEAR = [1, 4, 10, 20, 39, 79, 98, 157, 10000]
LOGARITHMIC = [1, 17, 35, 59, 100, 174, 208, 303, 10000]


def test_weights_of_both_formulas():
    """As the kubelet and koordlet write them, and as runc does from 1.3.2 on."""
    assert [weight_of(shares, Weights.LINEAR) for shares in SHARES] == LINEAR
    assert [weight_of(shares, Weights.LOGARITHMIC) for shares in SHARES] == LOGARITHMIC


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({1024: 39}, Weights.LINEAR),
        ({1024: 100, 512: 59}, Weights.LOGARITHMIC),
        ({2: 1}, None),
        ({1024: 77}, None),
        ({1024: 39, 512: 59}, None),
        ({}, None),
    ],
)
def test_the_runtimes_formula_is_known_by_what_it_wrote(samples, expected):
    """Where both fit, or none, nothing is known."""
    assert weights_by(samples) is expected


@pytest.mark.parametrize(
    ("knob", "version", "text", "value"),
    [
        (Knob.CPUS, 1, "0-3,8\n", frozenset({0, 1, 2, 3, 8})),
        (Knob.CPUS, 2, "\n", frozenset()),
        (Knob.QUOTA, 1, "-1", UNLIMITED),
        (Knob.QUOTA, 1, "50000", 50000),
        (Knob.QUOTA, 2, "max 100000", UNLIMITED),
        (Knob.QUOTA, 2, "25000 50000", 50000),
        (Knob.MEMORY, 1, "9223372036854771712", UNLIMITED),
        (Knob.MEMORY, 2, "max", UNLIMITED),
        (Knob.MEMORY, 2, "67108864", 67108864),
        (Knob.IDLE, 1, "1", 1),
    ],
)
def test_what_a_text_means(knob, version, text, value):
    """As the kernel shows it."""
    assert parse(knob, text, version) == value


def test_texts_that_mean_the_same():
    """However they are written; of another period nothing is the same but no limit."""
    assert same(Knob.CPUS, "0,1,2", "0-2", 1)
    assert same(Knob.MEMORY, "9223372036854771712", "-1", 1)
    assert same(Knob.QUOTA, "max 50000", "max 100000", 2)
    assert not same(Knob.QUOTA, "25000 50000", "50000 100000", 2)
    assert not same(Knob.QUOTA, "nonsense", "50000 100000", 2)


@given(
    st.sampled_from([1, 2]), st.sampled_from(list(Knob)), st.integers(2, 262144), st.sets(st.integers(0, 500))
)
def test_what_is_written_reads_the_same(version, knob, number, cpus):
    """For every setting and version; each file holds one setting."""
    file = file_of(knob, version)
    if file is None:
        return
    assert knob_of(file.name, version) is knob
    value = frozenset(cpus) if knob is Knob.CPUS else stored(knob, number, version)
    assert parse(knob, render(knob, value, version), version) == value


def test_the_greatest_burst():
    """That of the quota; a text that is none, as a recorded machine may have it, is a ValueError."""
    assert [most_burst(text) for text in ("50000 100000", "max 100000", "-1", "20000")] == [
        50000,
        0,
        0,
        20000,
    ]
    for text in ("", " ", "x"):
        with pytest.raises(ValueError):  # noqa: PT011 — whatever its words
            most_burst(text)
