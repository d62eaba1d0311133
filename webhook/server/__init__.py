"""The service: reviews over TLS under gunicorn, and health, metrics and explanations on a second, plain port."""
