"""What a profile does to a pod."""
