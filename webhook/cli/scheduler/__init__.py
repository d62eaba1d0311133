"""``colocation-webhook scheduler``: a configuration translated, a decision explained."""
