"""Tests of the eviction of batch work."""
