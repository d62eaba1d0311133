"""Which figures say what a node offers."""

import pytest

from webhook.eviction.offers import offers

BATCH = {"kubernetes.io/batch-cpu": 8000}


@pytest.mark.parametrize(
    ("annotation", "holds"),
    [
        ("", True),  # koord-manager's
        ('{"state": "applied"}', True),
        ('{"state": "held"}', False),
        ('{"state": "withdrawn"}', False),
        ("{", False),
        ("[]", False),
        ("[" * 10_000, False),
    ],
)
def test_late_metrics(annotation: str, *, holds: bool) -> None:
    """Figures that only say what bound pods request are no reason to evict one; native ones always hold."""
    native = {"cpu": 16_000}
    assert offers(BATCH, annotation, native) == ({**native, **BATCH} if holds else native)
