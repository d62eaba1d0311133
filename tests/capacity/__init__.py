"""Tests of capacity: what batch work may have of a node."""
