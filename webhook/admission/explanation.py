"""The explanation of a decision: why a pod was changed, or was not. Rendered on request only."""

from typing import Any

from webhook.admission.decision import Decision, decide
from webhook.admission.podedit import Denied, check_shape
from webhook.admission.profiles.profile import ALWAYS, Profile
from webhook.admission.response import INVALID
from webhook.admission.review import Review, Webhook
from webhook.admission.settings import Settings
from webhook.admission.validating.validation import Follow, keep
from webhook.admission.view import View
from webhook.pods.pod import labels


def explain(
    webhook: Webhook, review: Review, view: View, settings: Settings, *, follow: Follow = keep
) -> dict[str, Any]:
    """Return the decision with its reasons, as JSON; arguments as of ``decide``.

    For every profile of the view it says whether the profile matched and, if not, which
    clause failed; for every operation, which profile and field caused it.
    """
    return render(decide(webhook, review, view, settings, follow=follow), review, view)


def render(decision: Decision, review: Review, view: View) -> dict[str, Any]:
    """Return an existing decision with its reasons, as JSON."""
    return {
        "uid": decision.uid,
        "outcome": decision.outcome,
        "namespace": review.namespace,
        "namespaceLabels": dict(view.namespace_labels(review.namespace)),
        "profiles": profiles(decision, review, view),
        "operations": [
            patched | {"causes": [cause._asdict() for cause in operation.causes]}
            for patched, operation in zip(decision.patch(), decision.operations, strict=True)
        ],
        "warnings": list(decision.warnings),
        "denial": None if decision.denial is None else INVALID | {"message": decision.denial},
    }


def profiles(decision: Decision, review: Review, view: View) -> list[dict[str, Any]]:
    """Return for each profile of the view whether it was applied, and the reason."""
    try:
        check_shape(review.object)
    except Denied:
        return []  # the denial says what is wrong; labels cannot be matched
    return [
        {
            "name": name,
            "applied": name in decision.applied,
            "reason": _reason(profile, decision, review, view),
        }
        for name, profile in view.profiles.items()
    ]


def _reason(profile: Profile, decision: Decision, review: Review, view: View) -> str:
    if not profile.ready:
        return f"not ready: {'; '.join(profile.problems)}"
    failing = profile.namespace_selector.failing(view.namespace_labels(review.namespace))
    if failing is not None:
        found = view.namespace_labels(review.namespace).get(failing.key)
        return f"namespaceSelector: {failing}, the namespace has {_shown(failing.key, found)}"
    failing = profile.selector.failing(labels(review.object))
    if failing is not None:
        return (
            f"selector: {failing}, the pod has {_shown(failing.key, labels(review.object).get(failing.key))}"
        )
    if profile.name in decision.applied:
        return "matched"
    but = "it was not among the profiles decided on"
    if decision.denial is not None:
        but = "the pod is denied"
    elif profile.probability < ALWAYS and not decision.reinvoked:
        but = f"left out by its probability of {profile.probability}%"
    return f"matched, but {but}"


def _shown(key: str, value: str | None) -> str:
    return f"no {key}" if value is None else f"{key}={value}"
