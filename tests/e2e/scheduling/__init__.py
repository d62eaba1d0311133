"""A stock kube-scheduler that asks the webhook."""
