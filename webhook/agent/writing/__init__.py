"""What is written to cgroups, in which order, and how it is accounted for and taken back."""
