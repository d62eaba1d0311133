"""Tests of ``webhook.admission.mutating``."""
