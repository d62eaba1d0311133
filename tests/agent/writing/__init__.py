"""Tests of ``webhook.process``."""
