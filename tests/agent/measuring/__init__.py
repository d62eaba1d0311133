"""Tests of ``webhook.agent.measuring``."""
