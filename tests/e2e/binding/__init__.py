"""CPU sets at binding: nodes and pods for it, the storm, and what the checker says."""
