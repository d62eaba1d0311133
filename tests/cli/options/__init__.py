"""Tests of ``webhook.cli.options``."""
