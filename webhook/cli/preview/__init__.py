"""``preview``: what would happen to the pods of a manifest."""
