"""Benchmarks: what a review costs, beside a naive baseline in the same run."""
