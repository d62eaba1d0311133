"""Manifests, and the pods that would be made of them."""
