"""What every long-running process has."""
