"""What makes and keeps the virtual machine: QEMU, its disk and snapshots, containerd and kubelet in it."""
