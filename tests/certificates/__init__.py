"""Tests of ``webhook.certificates``."""
