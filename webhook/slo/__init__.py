"""What agents are to do on nodes: Koordinator's ConfigMap read, checked, and made into NodeSLOs; pure."""
