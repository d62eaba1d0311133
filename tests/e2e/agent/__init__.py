"""The agent's part in a cluster."""
