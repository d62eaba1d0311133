"""Where pods may go, and where best: what a stock kube-scheduler asks its extender.

The names are those of Koordinator's plugins LoadAwareScheduling and NodeNUMAResource.
"""
