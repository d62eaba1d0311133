"""Pods and nodes for tests of the plan, in as few words as a test needs."""

import json

from webhook.agent.plan.agentpod import AgentPod, read_agent_pod
from webhook.agent.plan.plan import Plan, PodPlan, make_plan
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.sharing import Reservations
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.protocol import ANNOTATION_RESOURCE_STATUS, LABEL_QOS_CLASS

KUBE = {"LSE": "Guaranteed", "LSR": "Guaranteed", "LS": "Burstable", "BE": "BestEffort", "": "Burstable"}


def raw_pod(name="web", qos="", *, cpus=None, set_=None, kube=None, containers=None, **fields):
    """A v1 Pod of a node: ``cpus`` that it requests, ``set_`` in its annotation."""
    resources = {"requests": {"cpu": str(cpus)}, "limits": {"cpu": str(cpus)}} if cpus else {}
    listed = containers or [{"name": "main", "resources": resources}]
    annotations = dict(fields.pop("annotations", {}))
    if set_ is not None:
        annotations[ANNOTATION_RESOURCE_STATUS] = json.dumps({"cpuset": set_})
    statuses = [{"name": c["name"], "containerID": f"containerd://{name}-{c['name']}"} for c in listed]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": fields.pop("uid", f"uid-{name}"),
            "creationTimestamp": fields.pop("created", "2026-01-01T00:00:00Z"),
            "labels": {LABEL_QOS_CLASS: qos} if qos else {},
            "annotations": annotations,
        },
        "spec": {"priority": fields.pop("priority", 9500 if qos != "BE" else 5500), "containers": listed},
        "status": {
            "phase": fields.pop("phase", "Running"),
            "qosClass": kube or KUBE[qos],
            "containerStatuses": statuses,
        }
        | fields,
    }


def a_pod(*args, **fields) -> AgentPod:
    """The same, read."""
    return read_agent_pod(raw_pod(*args, **fields))


def batch(cpu="500", memory="64Mi", name="main", kind="batch", **fields):
    """A container with batch resources; None leaves one out."""
    amounts = {f"kubernetes.io/{kind}-cpu": cpu, f"kubernetes.io/{kind}-memory": memory}
    amounts = {key: amount for key, amount in amounts.items() if amount is not None}
    return {"name": name, "resources": {"requests": amounts, "limits": amounts}} | fields


def a_node(shape="1x1x8x2", numbering="linux", **fields) -> NodeTopology:
    """A node of this shape; reservations by their names."""
    names = ("reserved", "kubelet_reserved", "system", "kubelet_pinned", "system_exclusive")
    given = {name: fields.pop(name) for name in names if name in fields}
    given = {name: frozenset(cpus) if not isinstance(cpus, bool) else cpus for name, cpus in given.items()}
    return NodeTopology("n", "u", parse_shape(shape, numbering), Reservations(**given), **fields)


def plan_of(*pods, node=None, **settings) -> Plan:
    """The plan of these pods."""
    return make_plan(pods, node or a_node(), Settings(**settings))


def one(*pods, **fields) -> PodPlan:
    """The plan of the first of these pods."""
    plan = plan_of(*pods, **fields)
    return next(each for each in plan.pods if each.pod.uid == pods[0].uid)


def values(targets) -> dict[Knob, object]:
    """What should stand there, by knob."""
    found = {target.knob: target.value for target in targets}
    assert len(found) == len(targets), "a setting is planned twice"
    return found
