"""Tests of webhook/cli/scheduler."""
