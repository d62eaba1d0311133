"""A simulated admission of one pod that is created now."""

import copy
import uuid
from dataclasses import replace
from typing import Any, Final, NamedTuple

import jsonpatch
import orjson
from jsonpatch import JsonPointer

from webhook.admission.decision import Decision, decide
from webhook.admission.explanation import render
from webhook.admission.mutating.reinvocation import derive_key
from webhook.admission.review import Review, Webhook
from webhook.admission.settings import Settings
from webhook.admission.view import View
from webhook.cli.preview.admissionplugins import arrive, creation_review
from webhook.pods.apiserver.defaulting import default_pod_requests
from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.podtemplates import Object, PodOf, WorkloadError
from webhook.pods.pod import labels
from webhook.pods.selectors import SelectorError, compile_selector
from webhook.protocol import ANNOTATION_PROFILES, ANNOTATION_PROFILES_SIGNATURE

# The webhook writes these for its own second call; they mean nothing to a user.
BOOKKEEPING: Final = (ANNOTATION_PROFILES, ANNOTATION_PROFILES_SIGNATURE)


class Simulation(NamedTuple):
    """The admission of one pod, step by step.

    Attributes:
        subject: the pod and where it comes from.
        review: the request to the mutating webhook.
        mutation: the mutating webhook's decision.
        after: the pod after the patch; unchanged if mutation is denied.
        validation: the validating webhook's decision on ``after``; None if mutation is denied.
        refusal: why the API server itself would refuse the pod, or None.
        orphaned: why the pod's controller would not know the pod, or None.
    """

    subject: PodOf
    review: Review
    mutation: Decision
    after: Object
    validation: Decision | None
    refusal: str | None
    orphaned: str | None = None

    @property
    def denials(self) -> list[str]:
        """All reasons why the pod would not be created."""
        decisions = (self.mutation, self.validation)
        messages = [d.denial for d in decisions if d is not None and d.denial is not None]
        return [self.refusal, *messages] if self.refusal else messages

    @property
    def warnings(self) -> list[str]:
        """The warnings that the user would see, each once."""
        validation = self.validation.warnings if self.validation else ()
        return list(dict.fromkeys((*self.mutation.warnings, *validation)))

    @property
    def outcome(self) -> str:
        """``denied``, ``orphaned``, ``changed`` or ``unchanged`` (apart from bookkeeping)."""
        if self.denials:
            return "denied"
        if self.orphaned:
            return "orphaned"
        before, after = map(without_bookkeeping, (self.review.object, self.after))
        return "unchanged" if before == after else "changed"

    @property
    def applied_before(self) -> str:
        """The profiles that a pod from a cluster says it was changed by when it was created, else ""."""
        annotations = self.review.object["metadata"].get("annotations")
        applied = annotations.get(ANNOTATION_PROFILES) if isinstance(annotations, dict) else None
        return applied if isinstance(applied, str) else ""

    def to_json(self, view: View) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "origin": self.subject.origin,
            "guessedFrom": self.subject.guessed_from or None,
            "namespace": self.review.namespace,
            "outcome": self.outcome,
            "denials": self.denials,
            "orphaned": self.orphaned,
            "warnings": self.warnings,
            "patch": self.mutation.patch(),
            "explanation": render(self.mutation, self.review, view),
            "before": self.review.object,
            "after": self.after,
        }


def simulate(subject: PodOf, namespace: str, view: View, settings: Settings, seed: str = "") -> Simulation:
    """Send a pod through the API server's defaulting, the mutating and the validating webhook.

    Args:
        subject: the pod.
        namespace: where it is created if it names no namespace itself.
        view: the cluster.
        settings: of the webhooks.
        seed: determines the outcome of profile probabilities, like the signing key in a cluster.

    Raises:
        WorkloadError: the pod contains a value that JSON cannot represent.
    """
    try:
        # JSON as the API server writes it: keys are strings, and no two fields share an object.
        pod = orjson.loads(orjson.dumps(subject.pod, option=orjson.OPT_NON_STR_KEYS))
    except TypeError as error:
        raise WorkloadError(f"{subject.origin}: cannot be written as JSON: {error}") from None
    namespace = subject.namespace or namespace
    refusal = arrive(pod, namespace, view)
    _identify(pod)
    review = creation_review(pod, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{namespace}/{subject.origin}")))
    if seed:
        settings = replace(settings, signing_key=derive_key(seed.encode()))  # the key is part of the dice
    mutation = decide(Webhook.MUTATE, review, view, settings)
    if mutation.denial is not None:
        return Simulation(subject, review, mutation, pod, None, refusal)
    after = jsonpatch.apply_patch(pod, mutation.patch())
    stored = copy.deepcopy(after)
    default_pod_requests(stored)
    validation = decide(Webhook.VALIDATE, review._replace(object=stored), view, settings)
    orphaned = _orphaned(subject, pod, after, mutation)
    return Simulation(subject, review, mutation, after, validation, refusal, orphaned)


def _identify(pod: Object) -> None:
    """Give made-up owners a uid each, so that they differ where real ones do."""
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("uid") == MADE_UP:
            parts = (metadata["namespace"], owner.get("apiVersion"), owner.get("kind"), owner.get("name"))
            owner["uid"] = str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def _orphaned(subject: PodOf, before: Object, after: Object, mutation: Decision) -> str | None:
    """Say what happens if the labels no longer meet the workload's selector, as they did before."""
    try:
        selector = compile_selector(subject.selector, "spec.selector")
    except SelectorError:
        return None  # in a custom resource it may be something else; another is refused with its workload
    present = labels(after)
    failing = [clause for clause in selector.requirements if not clause.holds(present)]
    if not failing or not selector.matches(labels(before)):
        return None
    keys = dict.fromkeys(clause.key for clause in failing)
    have = ", ".join(f"{key}={present[key]}" if key in present else f"no {key}" for key in keys)
    places = [["metadata", "labels"], *(["metadata", "labels", key] for key in keys)]
    changes = (change for change in mutation.operations if JsonPointer(change.path).parts in places)
    causes = dict.fromkeys(f"profile {c.source}, {c.field}" for change in changes for c in change.causes)
    follows = "its controller would not know the pod and would create others without end"
    if subject.kind == "StatefulSet":
        follows = "the StatefulSet would not know the pod and could not create another of its name"
    return (
        f"the pod no longer meets spec.selector of {subject.origin} ({', '.join(map(str, failing))}): "
        f"it would have {have}, by {' and '.join(causes)}: {follows}: write another label"
    )


def without_bookkeeping(pod: Object) -> Object:
    """Return the pod without the annotations that the webhook writes for its own second call."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations")
    if not isinstance(annotations, dict):
        return pod
    kept = {key: value for key, value in annotations.items() if key not in BOOKKEEPING}
    if len(kept) == len(annotations):
        return pod
    others = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**pod, "metadata": {**others, "annotations": kept} if kept else others}
