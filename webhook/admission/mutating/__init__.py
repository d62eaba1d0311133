"""The changes to a pod: profiles, resource translation, GPU and annotation steps."""
