"""What the API server demands of the pods that profiles change.

Its behaviour, of Kubernetes 1.30 and newer: where versions differ, what one of them takes is not refused. A
field of a feature gate is judged as by versions in which it works without the gate: others drop it.

Source: Kubernetes, ``pkg/apis/core/validation``; the end-to-end test ``admission/test_results.py`` compares
random pods with a real API server.
"""
