"""A service under measurement: its process, its profiles, the load on it, and a naive one beside it."""
