"""Tests of ``colocation-webhook agent``."""
