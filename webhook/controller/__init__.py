"""The controller: publishes what nodes offer to batch work, and keeps NodeMetrics in being."""
