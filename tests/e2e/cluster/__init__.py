"""A cluster without machines: the control plane's processes, kubectl, nodes, Services, another webhook."""
