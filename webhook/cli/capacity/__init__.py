"""``colocation-webhook capacity``: what nodes offer to batch work, and why."""
