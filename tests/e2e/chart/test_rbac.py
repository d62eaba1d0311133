"""The chart's rights are the least: with any one of them taken away, something fails."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.cluster.apiclient import ApiClient
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.objects import pod, profile
from tests.e2e.cluster.processes import NotInTimeError, eventually
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.release.rendering import DEFAULT, Helm
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports

NEW_NAMESPACES = 10
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
CONTROLLERS: dict[str, tuple[str, Object]] = {
    "ReplicaSet": ("apps/v1", {"replicas": 0}),
    "StatefulSet": ("apps/v1", {"replicas": 0, "serviceName": "none"}),
    "DaemonSet": ("apps/v1", {}),
    "Job": ("batch/v1", {"suspend": True}),
    "ReplicationController": ("v1", {"replicas": 0}),
}
"""API version, and a spec that makes no pods; of a DaemonSet a ResourceQuota keeps them away."""
MANY_PODS = 12
SECONDS = 6.0
"""In which everything has to work; with all rights it takes less than two."""
REST_SECONDS = 2.0
"""The webhook looks again a tenth of a second after what it wrote itself: what changes until then
is seen by that look, without a watch."""


class Right(NamedTuple):
    """One verb on one resource, perhaps of some names only, in one kind of role."""

    kind: str
    resource: str
    names: tuple[str, ...]
    verb: str


def own_roles(objects: list[Object]) -> list[Object]:
    """The roles of the webhook's account: not those of hooks, nor the one for the cluster's users."""
    bound = {each["roleRef"]["name"] for each in objects if each["kind"] == "ClusterRoleBinding"}
    return [
        role
        for role in objects
        if role["kind"] in {"ClusterRole", "Role"} and "annotations" not in role["metadata"]
        if role["metadata"]["name"] in bound
    ]


def rights(objects: list[Object]) -> list[Right]:
    """All rights that the webhook's roles give."""
    return [
        Right(role["kind"], resource, tuple(rule.get("resourceNames", ())), verb)
        for role in own_roles(objects)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def without(rules: list[Object], taken: Right) -> list[Object]:
    """The rules, one right less."""
    left = []
    for rule in rules:
        for resource in rule["resources"]:
            same = resource == taken.resource and rule.get("resourceNames", []) == list(taken.names)
            verbs = [verb for verb in rule["verbs"] if not (same and verb == taken.verb)]
            if verbs:
                left.append({**rule, "resources": [resource], "verbs": verbs})
    return left


class Trial:
    """A webhook of its own, with an account of its own, that everything is asked of."""

    def __init__(self, release: Installation, folder: Path, account: str) -> None:
        self.kubectl = release.kubectl
        self.name = account
        self.port, self.admin_port = free_ports(2)
        self.folder = folder
        self.reviews: http.client.HTTPSConnection | None = None

    def replica(self, release: Installation) -> Replica:
        """What is asked; it does not run yet."""
        command = (
            f"colocation-webhook serve --kubeconfig {self.folder / 'kubeconfig'} "
            f"--lease {NAMESPACE}/{self.name} "
            f"--manage-certificates {NAMESPACE}/{self.name} --certificate-name localhost "
            f"--webhook-configuration {self.name} "
            "--bind localhost:$PORT --admin-bind localhost:$ADMIN_PORT"
        )
        return release.replica(self.name, self.port, self.admin_port, command=command)

    def review(self, namespace: str, labels: dict[str, str], owner: Object | None = None) -> dict[str, Any]:
        """The answer to the creation of a pod; an answer that is not 200 is an AssertionError."""
        made = pod("reviewed", labels)
        made["metadata"]["ownerReferences"] = [owner] if owner else []
        request = {
            "uid": str(uuid.uuid4()),
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": namespace,
            "object": made,
        }
        body = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
        if self.reviews is None:
            trust = ssl.create_default_context(cadata=self.held("ca.crt"))
            self.reviews = http.client.HTTPSConnection("localhost", self.port, timeout=5, context=trust)
        # One connection is kept: a review has to be there sooner than what the watch tells.
        try:
            self.reviews.request("POST", "/mutate", json.dumps(body), {"Content-Type": "application/json"})
            answer = self.reviews.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.reviews.close()  # the next review opens it again
            raise AssertionError(f"no answer: {error!r}") from error
        assert answer.status == 200, text
        response: dict[str, Any] = json.loads(text)["response"]
        return response

    def configure(self) -> None:
        """Both configurations, without a caBundle; they select no namespace."""
        webhook = {
            "name": "trial.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {"url": f"https://localhost:{self.port}/mutate"},
            "namespaceSelector": {"matchLabels": {"no": "namespace"}},
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        }
        api = "admissionregistration.k8s.io/v1"
        self.kubectl.create(
            *(
                {"apiVersion": api, "kind": kind, "metadata": {"name": self.name}, "webhooks": [webhook]}
                for kind in CONFIGURATIONS
            )
        )

    def held(self, key: str) -> str:
        """What the Secret has under a key."""
        data = self.kubectl.get("secret", self.name, namespace=NAMESPACE)["data"]
        return base64.b64decode(data[key]).decode()

    def certificates(self) -> None:
        """What the webhook does for its certificates; raises if any of it does not come about in time."""
        leaf = self.held("tls.crt")
        # The Secret is watched, made and changed.
        self.kubectl.run("-n", NAMESPACE, "delete", "secret", self.name)
        eventually(lambda: self.held("tls.crt") == leaf, seconds=SECONDS, what="Secret restored")
        time.sleep(REST_SECONDS)
        wish = "colocation-webhook.io/rotate=leaf"
        self.kubectl.run("-n", NAMESPACE, "annotate", "secret", self.name, wish)
        eventually(lambda: self.held("tls.crt") != leaf, seconds=SECONDS, what="leaf rotated")
        # So are the configurations, each for itself.
        for kind in CONFIGURATIONS:
            time.sleep(REST_SECONDS)
            right = self.kubectl.get(kind, self.name)["webhooks"]
            empty = '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]'
            self.kubectl.run("patch", kind, self.name, "--type=json", "-p", empty)
            eventually(
                lambda kind=kind, right=right: self.kubectl.get(kind, self.name)["webhooks"] == right,
                seconds=SECONDS,
                what=f"caBundle of the {kind} put back",
            )

    def controllers(self, labels: dict[str, str]) -> None:
        """Controllers that do not select by the label that the profile changes, and one that may."""
        owners = {kind: self.controller(kind, labels) for kind in CONTROLLERS}
        unknown = {"apiVersion": "example.com/v1", "kind": "Widget", "name": self.name, "uid": self.name}
        for owner in (*owners.values(), {**unknown, "controller": True}):
            for _ in range(MANY_PODS):
                self.relabelled(labels, owner)
        eventually(
            lambda: not self.relabelled(labels, {**unknown, "controller": True}),
            seconds=SECONDS,
            what="labels kept",
        )
        # Their selectors are read, so they are not meant.
        for kind, owner in owners.items():
            assert self.relabelled(labels, owner), f"labels kept for a {kind}"
        # An Event is made.
        eventually(
            lambda: "LabelsKept" in str(self.kubectl.items("events", namespace=self.name)),
            seconds=SECONDS,
            what="Event about labels",
        )

    def controller(self, kind: str, labels: dict[str, str]) -> Object:
        """A controller without pods, and what its pods would name as their owner."""
        api, spec = CONTROLLERS[kind]
        template = {"metadata": {"labels": labels}, "spec": pod("unused")["spec"]}
        if kind == "Job":
            template["spec"]["restartPolicy"] = "Never"
        else:
            spec = {**spec, "selector": labels if api == "v1" else {"matchLabels": labels}}
        place = {"name": self.name, "namespace": self.name}
        spec = {**spec, "template": template}
        self.kubectl.create({"apiVersion": api, "kind": kind, "metadata": place, "spec": spec})
        uid = self.kubectl.get(kind, self.name, namespace=self.name)["metadata"]["uid"]
        return {"apiVersion": api, "kind": kind, "name": self.name, "uid": uid, "controller": True}

    def relabelled(self, labels: dict[str, str], owner: Object) -> bool:
        """Whether the profile changes a label of a pod of this owner."""
        patch = self.review(self.name, {**labels, "changed": "no"}, owner).get("patch", "")
        return "/metadata/labels/changed" in base64.b64decode(patch).decode()

    def everything(self, replica: Replica, calls: ApiClient) -> None:
        """All that the webhook does with its rights; raises if any of it does not come about in time."""
        kubectl, name = self.kubectl, self.name
        eventually(replica.ready, seconds=SECONDS, what="ready")
        self.certificates()
        labels = {"trial": name}
        spec = {"namespaceSelector": {"matchLabels": labels}, "selector": {"matchLabels": labels}}
        kubectl.create(profile(name, **spec, priorityClassName=name, labels={"changed": "yes"}))
        # The profile is watched: it applies, and is refused for the want of its PriorityClass.
        make_namespace(calls, name, labels)
        eventually(lambda: not self.review(name, labels)["allowed"], seconds=SECONDS, what="profile seen")
        # PriorityClasses are watched.
        metadata = {"name": name}
        kubectl.create(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": metadata,
                "value": 5000,
            }
        )
        eventually(lambda: self.review(name, labels).get("patch"), seconds=SECONDS, what="PriorityClass seen")
        # A namespace is looked up when a pod comes before the watch has told of it.
        for number in range(NEW_NAMESPACES):
            make_namespace(calls, f"{name}-{number}", labels)
            assert self.review(f"{name}-{number}", labels).get("patch")
        # Namespaces are watched: a label that changes is seen.
        kubectl.run("label", "namespace", f"{name}-0", "--overwrite", "trial=other")
        eventually(
            lambda: not self.review(f"{name}-0", labels).get("patch"), seconds=SECONDS, what="namespace seen"
        )
        # LimitRanges and ResourceQuotas are watched: they are named in warnings.
        limits = {"limits": [{"type": "Container", "min": {"cpu": "1m"}}]}
        place = {"name": "named", "namespace": name}
        kubectl.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": place, "spec": limits})
        hard = {"hard": {"requests.cpu": "1"}}
        kubectl.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": place, "spec": hard})
        for kind in ("LimitRange", "ResourceQuota"):
            eventually(
                lambda kind=kind: f'{kind} "named"' in str(self.review(name, labels).get("warnings")),
                seconds=SECONDS,
                what=f"{kind} seen",
            )
        self.controllers(labels)
        # The status is written, by the holder of the lease.
        eventually(
            lambda: "Ready" in str(kubectl.get("ccp", name).get("status", {}).get("conditions")),
            seconds=SECONDS,
            what="status written",
        )


def make_namespace(calls: ApiClient, name: str, labels: dict[str, str]) -> None:
    """Make one over an open connection: sooner than a watch can tell of it."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    code, text = calls.call("POST", "/api/v1/namespaces", body)
    assert code == 201, text


@pytest.fixture(scope="module")
def roles(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The chart's objects."""
    return Helm(cache, tmp_path_factory.mktemp("render")).render(DEFAULT, "1.37.2")


@pytest.fixture
def others_are_silent(release: Installation) -> Iterator[None]:
    """The release's own webhook is away: what is written is the trial's doing."""
    release.stop()
    yield
    release.serve()


def give(kubectl: Kubectl, account: str, cluster: list[Object], local: list[Object]) -> None:
    """An account with these rules, those with names for objects of the account's name."""
    metadata = {"name": account}
    placed = {**metadata, "namespace": NAMESPACE}
    api = "rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", **placed}
    group = {"apiGroup": "rbac.authorization.k8s.io"}
    renamed, everywhere = (
        [{**rule, **({"resourceNames": [account]} if "resourceNames" in rule else {})} for rule in rules]
        for rules in (local, cluster)
    )
    kubectl.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": placed},
        {"apiVersion": api, "kind": "ClusterRole", "metadata": metadata, "rules": everywhere},
        {"apiVersion": api, "kind": "Role", "metadata": placed, "rules": renamed},
        {"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": metadata, "subjects": [subject],
         "roleRef": {**group, "kind": "ClusterRole", "name": account}},
        {"apiVersion": api, "kind": "RoleBinding", "metadata": placed, "subjects": [subject],
         "roleRef": {**group, "kind": "Role", "name": account}},
    )  # fmt: skip


def try_with(
    release: Installation,
    control_plane: ControlPlane,
    folder: Path,
    objects: list[Object],
    taken: Sequence[Right],
) -> str:
    """Ask everything of a webhook that lacks these rights; return what failed, or nothing."""
    account = f"trial-{secrets.token_hex(3)}"
    kubectl = release.kubectl
    rules = {role["kind"]: role["rules"] for role in own_roles(objects)}
    for right in taken:
        rules[right.kind] = without(rules[right.kind], right)
    give(kubectl, account, rules["ClusterRole"], rules["Role"])
    if all(right.verb != "create" for right in taken):
        # A lease that another replica held until it went: whoever cannot make one finds one.
        placed = {"name": account, "namespace": NAMESPACE}
        kubectl.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": placed})
    trial = Trial(release, folder, account)
    kubectl.account(account, namespace=NAMESPACE, kubeconfig=folder / "kubeconfig")
    calls = ApiClient(control_plane)
    trial.configure()
    replica = trial.replica(release)
    try:
        replica.start()
        trial.everything(replica, calls)
    except RefusedError:
        raise  # the administrator's own requests are never refused
    except (NotInTimeError, AssertionError) as error:
        return str(error)
    finally:
        if trial.reviews is not None:
            trial.reviews.close()
        calls.close()
        replica.stop()
        kubectl.delete("ccp", account)
        kubectl.delete("priorityclass", account)
        kubectl.delete(",".join(CONFIGURATIONS), account)
        kubectl.delete("clusterrole,clusterrolebinding", account)
        kubectl.delete("role,rolebinding,serviceaccount,lease,secret", account, namespace=NAMESPACE)
        kubectl.delete("namespace", account, *(f"{account}-{number}" for number in range(NEW_NAMESPACES)))
    return ""


@pytest.mark.usefixtures("others_are_silent")
def test_every_right_is_needed(
    release: Installation, control_plane: ControlPlane, tmp_path: Path, roles: list[Object]
) -> None:
    """With all rights everything works; with any one of them taken away, something does not."""
    assert try_with(release, control_plane, _folder(tmp_path, "all"), roles, []) == ""
    listed = rights(roles)
    assert len(listed) == 34

    get_namespaces, watch_namespaces = (
        right
        for verb in ("get", "watch")
        for right in listed
        if (right.resource, right.verb) == ("namespaces", verb)
    )

    def failure(right: Right) -> str:
        folder = _folder(tmp_path, f"{right.kind}-{right.resource.replace('/', '-')}-{right.verb}")
        # A look-up is for what the watch has not told yet: it is tried where the watch tells nothing.
        taken = [right, watch_namespaces] if right == get_namespaces else [right]
        return try_with(release, control_plane, folder, roles, taken)

    # Whoever may write statuses writes them for all profiles: those who may not are tried alone. So is who is
    # to get ready all the same, which takes a while next to others that start.
    alone = [right for right in listed if right.resource in {"clustercolocationprofiles/status", "leases"}]
    assert len(alone) == 4
    alone.append(watch_namespaces)
    with ThreadPoolExecutor(3) as pool:
        together = [right for right in listed if right not in alone]
        failures = dict(zip(together, pool.map(failure, together), strict=True))
    failures |= {right: failure(right) for right in alone}
    assert [right for right, failed in failures.items() if not failed] == []
    # Without the watch alone, new namespaces are known by look-up, and only what changes later is missed.
    assert failures[watch_namespaces].startswith("namespace seen")
    assert "cannot be looked up" in failures[get_namespaces]


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
