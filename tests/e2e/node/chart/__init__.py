"""The chart on the node: its objects with the two deviations, or by Helm and the commands of the README."""
