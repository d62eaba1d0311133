"""A real node: kubelet, containerd and runc on this machine, in a folder and in cgroups of its own."""
