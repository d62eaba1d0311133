"""Tests of ``webhook.agent.plan``."""
