"""The cluster as a pod finds it: what is watched of it, what changed, what the next moment will bind."""
