"""Tests of CPU sets at binding."""
