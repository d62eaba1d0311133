"""Serving certificates and their CA: issuing, verification, and rotation in files or in a Secret."""
