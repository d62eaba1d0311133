"""The chart, installed, and the webhook run as the chart says: replicas, probes, Service, certificates."""
