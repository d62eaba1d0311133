"""CPU sets: exact allocation, sharing rules, NUMA hints and BE suppression."""
