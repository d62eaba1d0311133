"""Colocation admission for Kubernetes, compatible with Koordinator's protocol."""
