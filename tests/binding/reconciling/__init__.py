"""Tests of ``webhook.binding.reconciling``."""
