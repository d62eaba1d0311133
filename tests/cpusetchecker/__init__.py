"""An independent checker of CPU sets; it shares no code with the webhook."""
