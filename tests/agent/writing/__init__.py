"""Tests of ``webhook.agent.writing``."""
