"""Tests of ``webhook.agent.machine``."""
