"""What profiles make of random pods: a real API server takes it, or we have refused it ourselves.

Fixed seeds in `make e2e`; `RESULTS_PODS` sets how many pods, `RESULTS_SEED` the first seed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from typing import Any

from tests.admission.reviews.randompods import PRIORITY_CLASSES, RandomPods
from tests.builders import DEFAULTS, after, priority_class, read, review, view_of
from tests.e2e.cluster.apiclient import ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from webhook.admission.decision import decide
from webhook.admission.review import Webhook
from webhook.protocol import LABEL_IGNORE, Action

PODS = int(os.environ.get("RESULTS_PODS", "1000"))
SEED = int(os.environ.get("RESULTS_SEED", "20261125"))
RULE = "valid-result"
UNCHECKED = replace(DEFAULTS, rules={RULE: Action.OFF})
CLASSES = [priority_class(name, value) for name, value in PRIORITY_CLASSES.items()]
# What the API server adds to an object, and refuses in a new one.
ADDED = ("creationTimestamp", "managedFields", "resourceVersion", "uid")

Json = dict[str, Any]


class Judge:
    """The API server, asked about pods that are not made."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """The pods are of this namespace, in which no webhook is called."""
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"

    def take(self, pod: Json) -> Json | str:
        """Return the pod as it would be stored, or why it is refused."""
        metadata = {key: value for key, value in pod["metadata"].items() if key not in ADDED}
        sent = {key: value for key, value in pod.items() if key != "status"} | {"metadata": metadata}
        status, body = self._client.call("POST", self._path, sent)
        assert status < 500, body
        stored: Json = json.loads(body)
        return stored if status == 201 else message(body)

    def knows(self, priority_class: str) -> bool:
        """Whether a pod may have this class yet: admission reads them from a cache that is filled later."""
        spec = {"containers": [{"name": "c", "image": "none"}], "priorityClassName": priority_class}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
        return not isinstance(self.take(pod), str)


def difference(judge: Judge, seed: int) -> str | None:
    """Return one word on what became of a pod, or a text on how the API server and we differ."""
    made = RandomPods(seed)
    pod = judge.take(made.pod(f"pod-{seed}"))
    if isinstance(pod, str):
        return "not a pod"
    profiles = made.profiles()
    view = view_of([*CLASSES, *profiles])
    asked = read(review(pod, namespace="default"))
    unchecked = decide(Webhook.MUTATE, asked, view, UNCHECKED)
    if unchecked.denial is not None:
        return "denied for other reasons"
    answer = judge.take(after(unchecked, pod))
    ours = decide(Webhook.MUTATE, asked, view, DEFAULTS).denial
    refused = answer if isinstance(answer, str) else None
    if (ours is None) == (refused is None):
        return "taken" if ours is None else "refused"
    patches = [profile["spec"] for profile in profiles]
    return f"seed {seed}: the API server says {refused}; we say {ours}; {json.dumps(patches)}"


def test_what_profiles_make_is_taken_or_refused_by_name(control_plane: ControlPlane) -> None:
    """The API server refuses a pod for what profiles did if and only if we do, before it, with the reason."""
    client = ApiClient(control_plane)
    namespace = make_namespace(control_plane.kubectl, {LABEL_IGNORE: "true"})
    for each in CLASSES:
        client.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", each)
    judge = Judge(client, namespace)
    names = [each["metadata"]["name"] for each in CLASSES]
    eventually(lambda: all(judge.knows(name) for name in names), what="classes that the API server knows")
    print(f"seeds {SEED} to {SEED + PODS - 1}")
    found = [difference(judge, seed) for seed in range(SEED, SEED + PODS)]
    for each in CLASSES:
        client.call("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{each['metadata']['name']}")
    client.call("DELETE", f"/api/v1/namespaces/{namespace}")
    client.close()
    counts = Counter(each for each in found if not each.startswith("seed"))
    print(counts)
    assert [each for each in found if each.startswith("seed")] == []
    assert counts["refused"] > PODS / 20
    assert counts["taken"] > PODS / 4
