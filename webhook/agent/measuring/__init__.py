"""What the node and its pods use: counters of cgroups into rates, means, percentiles and peaks."""
