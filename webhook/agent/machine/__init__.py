"""What machine and kubelet say of themselves."""
