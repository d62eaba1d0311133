"""``serve`` and its flags."""
