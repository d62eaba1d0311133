"""Nodes as pods meet them: whether one fits, which CPUs there are, how fast they are."""
