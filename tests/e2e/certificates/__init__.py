"""Certificates of every source, with an API server that asks the replicas that use them."""
