"""What an agent says of its node in Koordinator's protocol: NodeMetric and NodeResourceTopology."""
