"""HTTP: connections, and what a request may cost before anything is decided."""
