"""Tests of HTTP connections and of what requests may cost."""
