"""Tests of ``colocation-webhook capacity``."""
