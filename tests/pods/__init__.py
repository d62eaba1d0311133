"""Tests of ``webhook.pods``."""
