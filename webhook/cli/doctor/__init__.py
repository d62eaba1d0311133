"""``doctor``: what works in a cluster and what does not."""
