"""``preview``: a simulated admission of the pods of a manifest."""
