"""What the API server does with a pod before it asks a webhook."""
