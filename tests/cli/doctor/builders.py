"""Objects of a cluster for the doctor."""

import datetime as dt

from tests.kube.fakeapi import PROFILES

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING, VALIDATING = (
    f"{ADMISSION}/mutatingwebhookconfigurations",
    f"{ADMISSION}/validatingwebhookconfigurations",
)
LEASES = "/apis/coordination.k8s.io/v1/leases"
SERVICES, SECRETS = "/api/v1/namespaces/home/services", "/api/v1/namespaces/home/secrets"
PODS, HOME_PODS, NODES = "/api/v1/pods", "/api/v1/namespaces/home/pods", "/api/v1/nodes"
CONFIGMAPS = "/api/v1/namespaces/home/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/home/deployments"
POD_RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
NOW = dt.datetime.now(dt.UTC)
BATCH = {"kubernetes.io/batch-cpu": "4000", "kubernetes.io/batch-memory": "8Gi"}
GOOD = {"ready": True, "error": None, "profiles": 1, "ageSeconds": 3.0, "watched": {"namespaces": {}}}


def profile(fake, name, ready="True", conflicting="False", **status):
    """Put a profile with a status."""
    conditions = [
        {"type": "Ready", "status": ready, "reason": "R", "message": "what is wrong"},
        {"type": "Conflicting", "status": conflicting, "reason": "C", "message": "another"},
    ]
    status = {"observedGeneration": 1, "conditions": conditions} | status
    fake.put(PROFILES, name, spec={"schedulerName": "koord-scheduler"}, status=status)


def lease(seconds=0):
    """A Lease that was renewed so long ago."""
    renewed = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": "x", "renewTime": renewed, "leaseDurationSeconds": 15}


def refused(path, verb="list"):
    """What an API server answers somebody without this right."""
    name = path.rsplit("/", 1)[-1]
    said = f'{name} is forbidden: User "u" cannot {verb} resource "{name}" at the cluster scope'
    return 403, {"message": said}
