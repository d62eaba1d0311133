"""What would happen to one pod if it were created now."""

from typing import Any, Final, NamedTuple

import jsonpatch
import orjson

from webhook.admission import Decision, Review, Settings, View, Webhook, decide
from webhook.admission.explanation import render
from webhook.cli.preview.defaulting import arriving, creation, request_uid
from webhook.pods.podtemplates import Object, PodOf, WorkloadError
from webhook.protocol import ANNOTATION_PROFILES, ANNOTATION_PROFILES_SIGNATURE

# What the webhook tells itself for a second call; it means nothing to a reader.
BOOKKEEPING: Final = (ANNOTATION_PROFILES, ANNOTATION_PROFILES_SIGNATURE)


class Simulation(NamedTuple):
    """A pod's way through admission.

    Attributes:
        subject: the pod and where it comes from.
        review: what the mutating webhook is asked.
        mutation: its answer.
        after: the pod after the patch; as it arrived where mutation is denied.
        validation: the validating webhook's answer to ``after``; None where mutation is denied.
        refusal: why the API server itself would refuse the pod, or None.
    """

    subject: PodOf
    review: Review
    mutation: Decision
    after: Object
    validation: Decision | None
    refusal: str | None

    @property
    def denials(self) -> list[str]:
        """Everything for which the pod would not be created."""
        decisions = (self.mutation, self.validation)
        said = [d.denial.message for d in decisions if d is not None and d.denial is not None]
        return [self.refusal, *said] if self.refusal else said

    @property
    def warnings(self) -> list[str]:
        """What the user would be told, each once."""
        validation = self.validation.warnings if self.validation else ()
        return list(dict.fromkeys((*self.mutation.warnings, *validation)))

    @property
    def outcome(self) -> str:
        """``denied``, ``changed`` or ``unchanged`` (but for bookkeeping)."""
        if self.denials:
            return "denied"
        return "unchanged" if without_bookkeeping(self.after) == self.review.object else "changed"

    def to_json(self, view: View) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "origin": self.subject.origin,
            "namespace": self.review.namespace,
            "outcome": self.outcome,
            "denials": self.denials,
            "warnings": self.warnings,
            "patch": self.mutation.patch(),
            "explanation": render(self.mutation, self.review, view),
            "before": self.review.object,
            "after": self.after,
        }


def simulate(subject: PodOf, namespace: str, view: View, settings: Settings, seed: str = "") -> Simulation:
    """Send a pod through the API server's own changes, the mutating and the validating webhook.

    Args:
        subject: the pod.
        namespace: where it is created if it does not say so itself.
        view: the cluster.
        settings: of the webhooks.
        seed: another seed gives another request, whose probabilities fall otherwise.

    Raises:
        WorkloadError: the pod holds what JSON cannot.
    """
    try:
        # JSON as the API server makes it: keys are strings, nothing is shared.
        pod = orjson.loads(orjson.dumps(subject.pod, option=orjson.OPT_NON_STR_KEYS))
    except TypeError as error:
        raise WorkloadError(f"{subject.origin}: cannot be written as JSON: {error}") from None
    refusal = arriving(pod, view)
    namespace = subject.namespace or namespace
    uid = request_uid(f"{seed}/{namespace}/{subject.origin}")
    review = creation(pod, namespace, uid)
    mutation = decide(Webhook.MUTATE, review, view, settings)
    if mutation.denial is not None:
        return Simulation(subject, review, mutation, pod, None, refusal)
    after = jsonpatch.apply_patch(pod, mutation.patch())
    validation = decide(Webhook.VALIDATE, review._replace(object=after), view, settings)
    return Simulation(subject, review, mutation, after, validation, refusal)


def without_bookkeeping(pod: Object) -> Object:
    """Return the pod without what the webhook tells itself for a second call."""
    metadata = pod.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if metadata is None or not isinstance(annotations, dict):
        return pod
    kept = {key: value for key, value in annotations.items() if key not in BOOKKEEPING}
    if len(kept) == len(annotations):
        return pod
    others = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**pod, "metadata": {**others, "annotations": kept} if kept else others}
