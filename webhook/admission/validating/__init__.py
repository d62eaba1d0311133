"""The rules that a pod is held to."""
