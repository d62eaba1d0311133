"""Capacity on a real control plane."""
