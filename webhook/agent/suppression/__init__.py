"""BE work gives way while others need the machine: how much it may use, and which CPUs."""
