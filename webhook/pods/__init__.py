"""Kubernetes objects read: pods, quantities, workloads, documents."""
