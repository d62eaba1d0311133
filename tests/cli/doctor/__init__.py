"""Tests of ``webhook.cli.doctor``."""
