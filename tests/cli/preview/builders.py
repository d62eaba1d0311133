"""A pod to preview."""

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec:
  containers: [{name: c, resources: {limits: {cpu: 500m, memory: 1Gi}}}]
"""
