"""The decision on a review, and `decide`, the only entry point of the core.

Pure: no I/O, no clock, and no randomness other than the request's uid. The service, the
command line, audit, benchmarks and tests all call it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from webhook.admission.editor import Cause, Operation, json_patch
from webhook.admission.mutating import extendedspec, gpu, podlevel, reinvocation, relabelling, result
from webhook.admission.mutating.downwardapi import misled
from webhook.admission.mutating.mutation import apply_profile
from webhook.admission.mutating.relabelling import Relabelled
from webhook.admission.mutating.selection import matching, selected
from webhook.admission.mutating.translation import translate
from webhook.admission.podedit import Denied, PodEdit, check_shape
from webhook.admission.profiles.findings import Severity, own_findings, reference_findings
from webhook.admission.profiles.profile import ProfileError, read_profile
from webhook.admission.response import INVALID, allowed, denied
from webhook.admission.review import Review, Webhook
from webhook.admission.settings import Mode, PodLevelResources, Settings
from webhook.admission.validating.rules import SCHEDULER_RULE, VALID_RESULT
from webhook.admission.validating.validation import Follow, Violation, action_of, keep, violations
from webhook.admission.view import View
from webhook.pods.apiserver.resourcequota import WITHOUT_NATIVE
from webhook.pods.pod import annotations, labels, spec
from webhook.pods.priority import effective_class
from webhook.pods.resourcespec import BOUND_CLASSES
from webhook.protocol import (
    ANNOTATION_MIRROR_POD,
    LABEL_IGNORE,
    LABEL_QOS_CLASS,
    PROFILE_GROUP,
    PROFILE_KIND,
    PROFILE_RESOURCE,
    SCHEDULER_ANNOTATIONS,
    TRANSLATION,
    Action,
)

MAX_WARNING: Final = 120  # characters: kubectl cuts longer warnings
MAX_LOGGED: Final = 1000  # characters of a message in the log, which may quote a user's input
AUDIT_ANNOTATION: Final = "profiles"  # the API server prefixes it with the webhook's name
AUDIT_ANNOTATION_WOULD: Final = "profiles-would-apply"  # the same in audit mode
_MAY_REFUSE: Final = "{} {}: it may refuse this pod"
_TOO_DEEP: Final = "the object is nested too deeply to be changed: flatten it"


class Decision(NamedTuple):
    """The answer to a review, and the reasons for it.

    Attributes:
        uid: of the request.
        operations: the JSON Patch, each operation with its causes.
        applied: names of the profiles in effect, in the order in which they apply.
        translated: how many quantities became batch or mid resources, by the new resource's name.
        warnings: for the user; the response cuts each to MAX_WARNING characters.
        denial: why the request is denied, None if it is allowed.
        audited: audit mode: operations and denial have no effect; they say what would have happened.
        reinvoked: the webhook is called again for this pod; its profiles were applied before.
        relabelled: what profiles changed of the labels that a controller's pod brought.
    """

    uid: str
    operations: tuple[Operation, ...] = ()
    applied: tuple[str, ...] = ()
    translated: Mapping[str, int] = MappingProxyType({})
    warnings: tuple[str, ...] = ()
    denial: str | None = None
    audited: bool = False
    reinvoked: bool = False
    relabelled: Relabelled | None = None

    @property
    def outcome(self) -> str:
        """The outcome in one word, the value of a metric label."""
        if self.denial is not None:
            return "would_deny" if self.audited else "denied"
        if self.operations:
            return "would_patch" if self.audited else "patched"
        return "allowed"

    def patch(self) -> list[dict[str, Any]]:
        """Return the JSON Patch."""
        return json_patch(self.operations)

    def response(self) -> dict[str, Any]:
        """Return the ``response`` of the AdmissionReview."""
        if self.denial is not None and not self.audited:
            response = denied(self.uid, self.denial, **INVALID)
        else:
            response = allowed(self.uid, () if self.audited else self.operations)
        if self.warnings:
            response["warnings"] = [_shortened(warning, MAX_WARNING) for warning in self.warnings]
        if self.applied:
            key = AUDIT_ANNOTATION_WOULD if self.audited else AUDIT_ANNOTATION
            response["auditAnnotations"] = {key: ",".join(self.applied)}
        return response

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the decision's log line."""
        fields: dict[str, Any] = {"uid": self.uid, "outcome": self.outcome}
        if self.applied:
            fields["profiles"] = self.applied
        if self.reinvoked:
            fields["reinvoked"] = True
        if self.operations:
            fields["operations"] = len(self.operations)
        if self.warnings:
            fields["warnings"] = [_shortened(warning, MAX_LOGGED) for warning in self.warnings]
        if self.denial is not None:
            fields["message"] = _shortened(self.denial, MAX_LOGGED)
        return fields


def decide(
    webhook: Webhook, review: Review, view: View, settings: Settings, *, follow: Follow = keep
) -> Decision:
    """Answer a review; ``follow`` says whether CPU sets follow a resize.

    Never raises for a user's mistake: an invalid object gives a denial. Objects that
    this webhook does not handle are allowed unchanged.
    """
    try:
        if webhook is Webhook.MUTATE:
            decision = _mutate(review, view, settings)
        else:
            decision = _validate(review, view, settings, follow)
    except Denied as denied:
        return deny(review.uid, str(denied), settings)
    except RecursionError:
        return deny(review.uid, _TOO_DEEP, settings)
    return _audited(decision) if settings.mode == Mode.AUDIT else decision


def deny(uid: str, why: str, settings: Settings) -> Decision:
    """Deny a review; in audit mode it is allowed with a warning."""
    decision = Decision(uid, denial=why)
    return _audited(decision) if settings.mode == Mode.AUDIT else decision


def _mutate(review: Review, view: View, settings: Settings) -> Decision:
    if not _is_pod(review, {""}, {"CREATE"}) or _exempt(review, view):
        return Decision(review.uid)
    check_shape(review.object)
    pod = PodEdit(review.object)
    warnings: list[str] = []
    keeping = relabelling.keeping(review, settings.kept_labels)
    recalled = reinvocation.recall(review, view, settings.signing_key)
    if recalled is None:
        found = matching(review, view)
        applied = [profile for profile in found if selected(profile, review, settings.signing_key)]
        for profile in applied:
            warnings += apply_profile(pod, profile, view, keeps_labels=profile.name in keeping)
        names = tuple(profile.name for profile in applied)
        if found:
            reinvocation.remember(pod, review, applied, settings.signing_key)
        else:
            reinvocation.forget(pod)
    else:
        names = recalled
        applied = [view.profiles[name] for name in names if name in view.profiles]
        for profile in applied:
            apply_profile(pod, profile, view, again=True)  # it has warned before
    plain = result.plain(review, applied)
    translated: Mapping[str, int] = {}
    if names and not any(profile.skip_resources for profile in applied):
        policy = settings.pod_level_resources
        translated = _translate(pod, names, policy, warnings, reinvoked=recalled is not None)
        if translated or podlevel.WARNING in warnings:  # what was dissolved became batch resources
            warnings += _may_refuse(pod.value, review.namespace, view)
            warnings += [] if plain else misled(pod)
    gpu.expand(pod)
    if warning := extendedspec.update(pod):
        warnings.append(warning)
    warnings += _check_result(review.object, pod, names, settings, plain=plain)
    operations = tuple(pod.operations())
    _check_depth(operations)
    relabelled = None
    if names and recalled is None and (relabelled := relabelling.find(review, pod, operations, keeping)):
        warnings += relabelling.warnings(relabelled)
    return Decision(
        review.uid,
        operations=operations,
        applied=names,
        translated=translated,
        warnings=tuple(dict.fromkeys(warnings)),
        reinvoked=recalled is not None,
        relabelled=relabelled,
    )


def _check_depth(operations: tuple[Operation, ...]) -> None:
    """Deny a patch that cannot be written: it moves an object with deeply nested unknown fields.

    orjson reads up to a depth of 1024 and writes up to 254.
    """
    for each in operations:
        if isinstance(each.value, dict) and each.op == "add" and each.path.startswith("/spec/"):
            try:
                orjson.dumps([{"value": each.value}])  # as deep as in the patch
            except orjson.JSONEncodeError:
                raise Denied(_TOO_DEEP) from None


def _check_result(
    before: Mapping[str, Any], pod: PodEdit, names: tuple[str, ...], settings: Settings, *, plain: bool
) -> list[str]:
    """Deny a pod that the API server would refuse for what profiles did; return warnings."""
    texts = annotations(pod.value)
    warnings = [] if SCHEDULER_ANNOTATIONS.isdisjoint(texts) else _disbelieve(pod, settings)
    if plain and not result.crowded(texts):
        return warnings
    if action_of(VALID_RESULT, settings.rules) == Action.OFF:
        return warnings
    problems = result.refusals(before, pod, names)
    denial, more = _held_to((Violation(VALID_RESULT, problem) for problem in problems), settings)
    if denial is not None:
        raise Denied(denial)
    return warnings + more


def _disbelieve(pod: PodEdit, settings: Settings) -> list[str]:
    """Take the scheduler's annotations off a pod that gets no CPU set; return warnings."""
    bound = labels(pod.value).get(LABEL_QOS_CLASS) in BOUND_CLASSES
    if bound or action_of(SCHEDULER_RULE, settings.rules) == Action.OFF:
        return []
    found = sorted(SCHEDULER_ANNOTATIONS & annotations(pod.value).keys())
    for key in found:
        pod.remove_annotation(key, Cause(f"rule {SCHEDULER_RULE}", ""))
    return [f"metadata.annotations[{key}]: only the scheduler sets it: removed" for key in found]


def _translate(
    pod: PodEdit,
    names: tuple[str, ...],
    policy: PodLevelResources,
    warnings: list[str],
    *,
    reinvoked: bool,
) -> Mapping[str, int]:
    """Translate the pod's resources by its priority class, with all profiles applied."""
    priority_class = effective_class(labels(pod.value), spec(pod.value).get("priority"))
    table = TRANSLATION.get(priority_class)
    if table is None:
        return {}
    if warning := podlevel.dissolve(pod, table, policy):
        warnings.append(warning)
    cause = Cause(",".join(names), f"resources, as {priority_class}")
    return translate(pod, table, cause, reinvoked=reinvoked)


def _may_refuse(pod: Mapping[str, Any], namespace: str, view: View) -> Iterator[str]:
    """Yield a warning for each LimitRange and ResourceQuota that may refuse a translated pod."""
    for limit_range in view.limit_ranges.get(namespace, ()):
        if limit_range.bounds_native:
            yield _MAY_REFUSE.format(f'LimitRange "{limit_range.name}"', WITHOUT_NATIVE)
    for quota in view.quotas.get(namespace, ()):
        if why := quota.refusal(pod):
            yield _MAY_REFUSE.format(f'ResourceQuota "{quota.name}"', why)


def _validate(review: Review, view: View, settings: Settings, follow: Follow) -> Decision:
    if review.resource[0] == PROFILE_GROUP and review.resource[2] == PROFILE_RESOURCE:
        return _validate_profile(review, view, settings)
    if not _is_pod(review, {"", "resize"}, {"CREATE", "UPDATE"}) or _exempt(review, view):
        return Decision(review.uid)
    check_shape(review.object)
    old = None
    if review.operation == "UPDATE":
        check_shape(review.old_object)
        old = review.old_object
    resize = review.subresource == "resize"
    found = violations(review.object, old, resize=resize, follow=follow)
    denial, warnings = _held_to(found, settings)
    return Decision(review.uid, warnings=tuple(dict.fromkeys(warnings)), denial=denial)


def _held_to(found: Iterable[Violation], settings: Settings) -> tuple[str | None, list[str]]:
    """Return the denial by the rules that are broken, None if they deny nothing, and the warnings."""
    refused, warnings = [], []
    for violation in found:
        action = action_of(violation.rule, settings.rules)
        if action == Action.DENY:
            refused.append(f"{violation.message} (rule {violation.rule})")
        elif action == Action.WARN:
            warnings.append(violation.message)
    return "; ".join(refused) or None, warnings


def _validate_profile(review: Review, view: View, settings: Settings) -> Decision:
    """Validate a profile; objects that it refers to may be created later, so their absence only warns."""
    if review.operation not in {"CREATE", "UPDATE"} or review.subresource:
        return Decision(review.uid)
    try:
        profile = read_profile(review.object)
    except ProfileError as error:
        raise Denied(f"{PROFILE_KIND}: {error}") from None
    own = list(own_findings(profile, view, settings.rules))
    known = _known_errors(review, view, settings)
    errors = [f.message for f in own if f.severity is Severity.ERROR and f.message not in known]
    if errors:
        raise Denied(f'{PROFILE_KIND} "{profile.name}": {"; ".join(errors)}')
    found = (*own, *reference_findings(profile, view))
    return Decision(review.uid, warnings=tuple(finding.message for finding in found))


def _known_errors(review: Review, view: View, settings: Settings) -> set[str]:
    """Return the errors of a profile before an update: a stored, invalid one must stay changeable."""
    if review.operation != "UPDATE":
        return set()
    try:
        old = read_profile(review.old_object)
    except ProfileError:
        return set()
    return {finding.message for finding in own_findings(old, view, settings.rules)}


def _is_pod(review: Review, subresources: set[str], operations: set[str]) -> bool:
    return (
        review.resource == ("", "v1", "pods")
        and review.subresource in subresources
        and review.operation in operations
    )


def _exempt(review: Review, view: View) -> bool:
    """Whether the webhook ignores the pod: a mirror pod, or one in a namespace that opted out."""
    if view.namespace_labels(review.namespace).get(LABEL_IGNORE) == "true":
        return True
    metadata = review.object.get("metadata")
    present = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(present, dict) and ANNOTATION_MIRROR_POD in present


def _audited(decision: Decision) -> Decision:
    """Return the decision without effect; a warning says what would have happened."""
    would: list[str] = []
    if decision.denial is not None:
        would.append(f"audit: would be denied: {decision.denial}")
    elif decision.operations:
        names = ", ".join(decision.applied) or "no profile"
        would.append(f"audit: would be changed by {len(decision.operations)} operations ({names})")
    return decision._replace(audited=True, warnings=(*would, *decision.warnings))


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
