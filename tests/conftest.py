"""Hypothesis profiles for all tests: few examples, at random, at a desk; many, the same each time, in CI.

What CI says of a commit is so when it is asked again; HYPOTHESIS_PROFILE=search looks for as many new ones.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile("default", max_examples=100, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile(
    "search", max_examples=400, deadline=None, suppress_health_check=SLOW_IS_FINE, print_blob=True
)
settings.register_profile("ci", settings.get_profile("search"), derandomize=True, database=None)
CI = os.environ.get("CI") == "true"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "default"))

CORES = len(os.sched_getaffinity(0))

ON_REQUEST = {Path(__file__).parent / name for name in ("e2e", "image")}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave to ``make e2e`` and ``make image-test`` what needs more than Python: it runs when it is named."""
    if collection_path not in ON_REQUEST:
        return None
    arguments = (argument.partition("::")[0] for argument in config.args)
    named = any(
        (config.invocation_params.dir / path).resolve().is_relative_to(collection_path) for path in arguments
    )
    return None if named else True


def pytest_xdist_auto_num_workers() -> int:
    """Return what ``-n auto`` means: more workers than cores, as tests of running services mostly wait."""
    return CORES + (CORES + 1) // 2
