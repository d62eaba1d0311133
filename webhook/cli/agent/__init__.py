"""``colocation-webhook agent``: one node, measured and enforced; what was written to it, and why."""
