"""Serving through change: pods are created all the time while something changes or fails."""
