"""Tests of ``webhook.server``."""
