"""Tests of ``webhook.cli.preview``."""
