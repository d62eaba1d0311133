"""The chart on the node: its objects with a few deviations, or by Helm and the commands of the README."""
