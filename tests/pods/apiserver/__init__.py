"""Tests of ``webhook.pods.apiserver``."""
