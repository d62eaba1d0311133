"""Eviction of batch work: when a node asks for it, and which pods go; pure, for agents and the controller."""
