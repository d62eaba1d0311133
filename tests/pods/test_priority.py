"""Which of Koordinator's classes a pod belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.admission.reviews.translation_model import effective_class as modelled
from webhook.pods.priority import band_of_value, effective_class, raw_class

LABEL = "koordinator.sh/priority-class"


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (2999, None),
        (3000, "free"),
        (3999, "free"),
        (4000, None),
        (5000, "batch"),
        (5999, "batch"),
        (6000, None),
        (7000, "mid"),
        (7999, "mid"),
        (8000, None),
        (9000, "prod"),
        (9999, "prod"),
        (10000, None),
        (0, None),
        (-1, None),
        (None, None),
        (2_000_001_000, None),
    ],
)
def test_bands(value, band) -> None:
    """Both ends of a range belong to it, what lies between ranges to none."""
    assert band_of_value(value) == (band and f"koord-{band}")


@pytest.mark.parametrize(
    ("labels", "priority", "raw", "effective"),
    [
        ({}, 5000, "koord-batch", "koord-batch"),
        ({LABEL: "koord-mid"}, 5000, "koord-mid", "koord-mid"),
        ({LABEL: "unknown"}, 5000, None, "koord-prod"),
        ({LABEL: "unknown", "koordinator.sh/qosClass": "BE"}, 9000, None, "koord-batch"),
        ({"koordinator.sh/qosClass": "BE"}, 0, None, "koord-batch"),
        ({"koordinator.sh/qosClass": "LSR"}, None, None, "koord-prod"),
    ],
)
def test_the_label_then_the_priority_then_the_qos_class(labels, priority, raw, effective) -> None:
    """Admission §2: an unknown label states nothing, and spec.priority is then not asked."""
    assert raw_class(labels, priority) == raw
    assert effective_class(labels, priority) == effective


@given(strategies.pod_labels, st.one_of(st.none(), st.integers(-1, 10_001)))
def test_against_the_model(labels, priority) -> None:
    """Every pod is of the class that the plain model says."""
    assert effective_class(labels, priority) == modelled(
        {"metadata": {"labels": labels}, "spec": {"priority": priority}}
    )
