"""Tests of what an agent says of its node."""
