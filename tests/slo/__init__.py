"""Tests of webhook.slo."""
