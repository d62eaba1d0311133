"""The validation rules for pods, and their checks."""
