"""A node in a virtual machine, by software emulation: cgroup v2, systemd, as many CPUs as are wanted."""
