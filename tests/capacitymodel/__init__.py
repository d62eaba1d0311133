"""An independent model of what a node offers to batch and mid work; it shares no code with the webhook."""
