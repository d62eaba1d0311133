"""Tests of what the API server demands of pods."""
