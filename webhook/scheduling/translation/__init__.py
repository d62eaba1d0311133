"""Koordinator's configuration of its scheduler, for a stock kube-scheduler and the chart; pure."""
