"""Pods and profiles through a real API server."""
