"""Lists, watches and what is kept of them."""
