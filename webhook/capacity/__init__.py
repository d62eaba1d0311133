"""Capacity: what batch work may have of a node, computed and explained; pure.

Koordinator's policies and those of the seeds. ``docs/capacity.md`` is the description.
"""
