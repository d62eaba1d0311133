"""Quotas of online pods are raised while these are throttled and their CPUs are not needed."""
