"""Load awareness: how a node's load is judged, and what a pod is expected to use; pure."""
