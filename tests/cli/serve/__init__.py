"""Tests of ``webhook.cli.serve``."""
