"""Findings about the profiles of a view: errors, warnings and conflicts."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from webhook.admission.profiles.overlap import Overlap, overlaps, writes
from webhook.admission.profiles.profile import Profile, label_writes
from webhook.admission.validating.rules import QOS_CLASS_KNOWN, VALID_RESULT, matrix_rule
from webhook.admission.validating.validation import action_of
from webhook.admission.view import View
from webhook.pods.priority import default_class, raw_class
from webhook.pods.selectors import satisfiable
from webhook.protocol import (
    LABEL_NAMESPACE_NAME,
    LABEL_PRIORITY_CLASS,
    LABEL_QOS_CLASS,
    NONE,
    QOS_CLASSES,
    QOS_PRIORITY_MATRIX,
    Action,
)


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One finding about a profile; the message says what is wrong and the remedy."""

    severity: Severity
    profile: str
    message: str


class Report(NamedTuple):
    """All findings.

    Attributes:
        profiles: how many were checked.
        findings: about single profiles, those with errors first, then by name.
        overlaps: pairs that can match the same pod and conflict, at most ``max_overlaps``.
        more_overlaps: whether there are more.
    """

    profiles: int
    findings: tuple[Finding, ...]
    overlaps: tuple[Overlap, ...]
    more_overlaps: bool

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity; each overlap is a warning."""
        found = sum(finding.severity == severity for finding in self.findings)
        return found + len(self.overlaps) * (severity is Severity.WARNING)


def examine(view: View, rules: Mapping[str, Action], max_overlaps: int) -> Report:
    """Check every profile of a view, and each against the others.

    Args:
        view: the cluster.
        rules: actions of validation rules that differ from the defaults.
        max_overlaps: report at most this many pairs.
    """
    findings = [
        finding
        for profile in view.profiles.values()
        for found in (own_findings(profile, view, rules, Severity.ERROR), reference_findings(profile, view))
        for finding in found
    ]
    broken = {finding.profile for finding in findings if finding.severity == Severity.ERROR}
    findings.sort(key=lambda f: (f.profile not in broken, f.profile, f.severity != Severity.ERROR))
    pairs = list(islice(overlaps(view.profiles.values()), max_overlaps + 1))
    return Report(len(view.profiles), tuple(findings), tuple(pairs[:max_overlaps]), len(pairs) > max_overlaps)


def own_findings(
    profile: Profile, view: View, rules: Mapping[str, Action], misspelled: Severity = Severity.WARNING
) -> Iterator[Finding]:
    """Yield findings that depend on the profile only; ``misspelled`` is the severity of such fields."""
    for problem in profile.problems:
        yield Finding(Severity.ERROR, profile.name, problem)
    for note in profile.notes:
        severity = misspelled if note.misspelled else Severity.WARNING
        yield Finding(severity, profile.name, note.message)
    if profile.ready:
        yield from _about_results(profile, rules)
    written = writes(profile)
    # One that cannot be read selects everything.
    about_selectors = _about_selectors(profile) if profile.ready else ()
    for message in (*about_selectors, *_about_writes(profile, written)):
        yield Finding(Severity.WARNING, profile.name, message)
    yield from _matrix(profile, written, view, rules)


def _about_results(profile: Profile, rules: Mapping[str, Action]) -> Iterator[Finding]:
    """Yield what the API server refuses of the pods that the profile makes: of all, or of some."""
    action = action_of(VALID_RESULT, rules)
    if action == Action.OFF:
        return
    severity = Severity.ERROR if action == Action.DENY else Severity.WARNING
    for message in profile.refused:
        yield Finding(severity, profile.name, message)
    for message in profile.incomplete:
        yield Finding(Severity.WARNING, profile.name, message)


def _about_selectors(profile: Profile) -> Iterator[str]:
    """Yield warnings about selectors that match nothing, or everything."""
    selectors = {"selector": profile.selector, "namespaceSelector": profile.namespace_selector}
    for field, selector in selectors.items():
        if not satisfiable(selector.requirements):
            clauses = ", ".join(map(str, selector.requirements))
            yield f"spec.{field}: no labels can satisfy all of: {clauses}"
    if profile.probability and not any(selector.requirements for selector in selectors.values()):
        yield (
            "spec: no selector and no namespaceSelector: holds for every pod of every namespace: "
            f"add one, or select namespaces by Exists {LABEL_NAMESPACE_NAME} if all are meant"
        )


def _about_writes(profile: Profile, written: Mapping[str, Any]) -> Iterator[str]:
    """Yield warnings about a priority, and about labels that the profile selects by and changes."""
    if "spec.priority" in written:
        yield (
            "spec.patch.spec.priority: cannot be set: the value of the PriorityClass is used: "
            "set priorityClassName instead"
        )
    for field, key in label_writes(profile):
        tested = [r for r in profile.selector.requirements if r.key == key and r.operator in {"In", "Exists"}]
        stays = {None if field == "labelSuffixes" else written[f"metadata.labels[{key}]"]}
        if tested and all(requirement.values != stays for requirement in tested):
            yield (
                f"spec.{field}: changes label {key}, which spec.selector tests: a controller that selects "
                "its pods by it too would create others without end: write another label"
            )


def reference_findings(profile: Profile, view: View) -> Iterator[Finding]:
    """Yield objects that the profile names and the view lacks; they may be created later."""
    name = writes(profile).get("spec.priorityClassName")
    if name and name not in view.priority_classes:
        field = "spec." if name == profile.priority_class_name else "spec.patch.spec."
        yield Finding(
            Severity.ERROR,
            profile.name,
            f"{field}priorityClassName: no PriorityClass {name!r} among the objects: "
            "every pod that matches is denied: create it or correct the name",
        )


def _matrix(
    profile: Profile, written: Mapping[str, Any], view: View, rules: Mapping[str, Action]
) -> Iterator[Finding]:
    """Check the combination of QoS class and priority class, if the profile sets both.

    A pod that names no class has the global default, where there is one.
    """
    qos = written.get(f"metadata.labels[{LABEL_QOS_CLASS}]")
    named = written.get("spec.priorityClassName")
    found = view.priority_classes.get(named) if named else default_class(view.priority_classes.values())
    stated = written.get(f"metadata.labels[{LABEL_PRIORITY_CLASS}]")
    if profile.ready and qos and qos not in QOS_CLASSES and action_of(QOS_CLASS_KNOWN, rules) == Action.DENY:
        known = ", ".join(sorted(QOS_CLASSES))
        message = f"label {LABEL_QOS_CLASS}: {qos!r} is not one of {known}: every pod that matches is denied"
        yield Finding(Severity.ERROR, profile.name, message)
    if qos not in QOS_CLASSES or (found is None and stated is None):
        return
    labels = {} if stated is None else {LABEL_PRIORITY_CLASS: stated}
    column = raw_class(labels, found.value if found else None) or NONE
    rule = matrix_rule(qos, column)
    action = action_of(rule, rules)
    if action == Action.OFF:
        return
    pods = "every pod that matches"
    if stated is None and not named and found:
        pods += f" and names no PriorityClass (the global default is {found.name})"
    cells = QOS_PRIORITY_MATRIX[qos].items()
    fitting = ", ".join(name for name, cell in cells if cell == Action.OFF)
    described = "no known priority class" if column == NONE else f"priority class {column}"
    yield Finding(
        Severity.ERROR if action == Action.DENY else Severity.WARNING,
        profile.name,
        f"spec.qosClass: {qos} does not go with {described}: rule {rule} "
        f"{'denies' if action == Action.DENY else 'warns about'} {pods}: use {fitting}",
    )
