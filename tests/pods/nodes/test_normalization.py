"""How much faster a node's CPUs are, by its annotation."""

import pytest

from webhook.pods.nodes.normalization import normalization_ratio
from webhook.pods.quantities import NANO
from webhook.protocol import ANNOTATION_CPU_NORMALIZATION_RATIO


@pytest.mark.parametrize(
    ("text", "ratio"),
    [(None, 1.0), ("", 1.0), ("1.2", 1.2), ("1", 1.0), ("0.5", 1.0), ("5", 5.0), (1.5, 1.5)],
)
def test_a_ratio(text, ratio):
    """In billionths; without one, and of slower CPUs, it is 1."""
    findings = []
    noted = {} if text is None else {ANNOTATION_CPU_NORMALIZATION_RATIO: text}
    assert normalization_ratio(noted, findings) == round(ratio * NANO)
    assert not findings


@pytest.mark.parametrize("text", ["fast", "5.1", "-1", "nan", "inf", {"a": 1}])
def test_what_is_no_ratio_is_ignored(text):
    """With a finding."""
    findings = []
    assert normalization_ratio({ANNOTATION_CPU_NORMALIZATION_RATIO: text}, findings) == NANO
    (finding,) = findings
    assert "is no ratio from 1 to 5; it is ignored" in finding
