"""What makes and keeps the node: namespaces, containerd, kubelet, images; and what may not be left behind."""
