"""The service: reviews over TLS, and health, metrics and explanations on a plain port."""
