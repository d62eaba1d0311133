"""Hypothesis profiles for all tests: few examples at a desk, many in CI."""

import os

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile("default", max_examples=100, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile(
    "ci", max_examples=400, deadline=None, suppress_health_check=SLOW_IS_FINE, print_blob=True
)
CI = os.environ.get("CI") == "true" or os.environ.get("HYPOTHESIS_PROFILE") == "ci"
settings.load_profile("ci" if CI else "default")
