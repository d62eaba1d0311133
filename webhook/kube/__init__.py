"""An API server: calls, lists and watches, leases and Events."""
