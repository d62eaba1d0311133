"""The agent on a node: what it and its pods use, measured and published."""
