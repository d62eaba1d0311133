"""Benchmarks: what a review costs, beside a naive baseline in the same run.

Each module here is a command, but for ``tree`` and ``plain``: ``compare`` measures another checkout with
those that it finds there by these names.
"""
