"""What should stand in the cgroups of a node's pods, and why: pure."""
