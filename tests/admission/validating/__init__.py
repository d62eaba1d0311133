"""Tests of ``webhook.admission.validating``."""
