"""Tests of ``webhook.admission.profiles``."""
