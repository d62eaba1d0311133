"""Koordinator's answers: reading the reference cases, and why ours differ.

A set holds ``objects/*.yaml``, ``reviews.jsonl`` with ``mutate.expected.jsonl`` and
``validate.expected.jsonl``, and ``mutated.reviews.jsonl`` (the pods as Koordinator left
them) with ``mutated.validate.expected.jsonl``.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.admission.reviews.pod_model import POINTS, check, intended, plain
from tests.admission.reviews.translation_model import Points, Refused
from tests.admission.validating import validation_model
from tests.builders import DEFAULTS, after, view_of
from webhook.admission.decision import decide
from webhook.admission.review import Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.admission.validating.rules import RULES
from webhook.admission.view import View
from webhook.protocol import Action

Json = dict[str, Any]

# With these rules no pod is denied for what Koordinator makes of it.
WARNED = replace(DEFAULTS, rules={"scheduler-annotations": Action.WARN, "valid-result": Action.WARN})
MEANINGS = {
    "1": "an invalid selector, or a namespace that no object describes, is no match",
    "2": "a profile left out by its probability has no effect at all",
    "3": "a key mapping whose source is absent does nothing",
    "5": "a batch or mid figure that is already there wins over a native one",
    "6": "spec.priority is what the PriorityClass says",
    "7": "overhead stays native, pod-level resources are dissolved, sidecars are annotated",
    "8": "the table of validation rules, by the rule",
    "10": "a pod that the API server would refuse for what a profile did is denied",
    "11": "a malformed extended-resource-spec annotation is replaced",
    "gpu": "GPU containers without limits do not end in a panic (Admission §2)",
}


class Difference(NamedTuple):
    """A case in which ours differs from Koordinator, and the points that explain it."""

    set: str
    reviews: str
    uid: str
    points: tuple[str, ...]

    def __str__(self) -> str:
        """Write the case as the list of differences holds it."""
        return f"{self.set} {self.reviews} {self.uid} {' '.join(self.points)}"


class Unexplained(AssertionError):  # noqa: N818 — read as a sentence
    """A difference that no point explains."""


def sets(folder: Path) -> list[Path]:
    """Return the folders of the sets."""
    return sorted(folder.glob("set-*"))


def objects(folder: Path) -> list[Json]:
    """Return the objects of a set."""
    texts = (path.read_text() for path in sorted((folder / "objects").glob("*.yaml")))
    return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader)]


def cases(folder: Path, reviews: str, expected: str) -> Iterator[tuple[bytes, Json, Json]]:
    """Yield a set's reviews, as bytes and as JSON, with the expected answers."""
    lines = (folder / f"{reviews}.jsonl").read_bytes().splitlines()
    answers = (folder / f"{expected}.expected.jsonl").read_bytes().splitlines()
    for line, answer in zip(lines, answers, strict=True):
        yield line, json.loads(line), json.loads(answer)


def compare_mutation(folder: Path) -> tuple[int, list[Difference]]:
    """Compare every pod of a set; return how many there are, and the differences.

    Raises:
        Unexplained: a pod of ours is not what the model says with all points on, or
            one of Koordinator's not what it says with all points off. With the rules about
            what profiles leave set to warn, ours is what the model says without that point.
    """
    found, count = [], 0
    given = objects(folder)
    view = view_of(given)
    for line, review, answer in cases(folder, "reviews", "mutate"):
        count += 1
        pod = review["request"]["object"]
        ours, warned = (_decided(line, pod, view, settings) for settings in (DEFAULTS, WARNED))
        theirs = plain(answer["pod"]) if answer["allowed"] else None
        where = f"{folder.name} {answer['uid']}"
        if ours != _modelled(review, given, POINTS):
            raise Unexplained(f"{where}: ours is not what the specification says")
        if warned != _modelled(review, given, POINTS - {"10"}):
            raise Unexplained(f"{where}: a rule that is set to warn changes what becomes of the pod")
        if theirs != _modelled(review, given, frozenset()):
            raise Unexplained(f"{where}: no point of Admission §3 explains Koordinator's answer")
        if ours != theirs:
            found.append(Difference(folder.name, "reviews", answer["uid"], _points(review, given)))
    return count, found


def _decided(line: bytes, pod: Json, view: View, settings: Settings) -> Json | None:
    decision = decide(Webhook.MUTATE, parse_review(line), view, settings)
    return None if decision.denial else plain(after(decision, pod))


def _modelled(review: Json, given: list[Json], points: Points) -> Json | None:
    try:
        return plain(intended(review, given, points))
    except Refused:
        return None


def _points(review: Json, given: list[Json]) -> tuple[str, ...]:
    """Return the points that matter: taken away from all, or added to none, they change the pod."""
    with_all, with_none = (_modelled(review, given, points) for points in (POINTS, frozenset()))
    return tuple(
        point
        for point in MEANINGS
        if point in POINTS
        and (
            _modelled(review, given, POINTS - {point}) != with_all
            or _modelled(review, given, frozenset({point})) != with_none
        )
    )


def compare_validation(folder: Path) -> tuple[int, list[Difference]]:
    """Compare the verdict on every pod of a set, as it came and as Koordinator left it.

    Raises:
        Unexplained: a verdict of ours, or of Koordinator's, is not what its table says,
            or they differ by a rule that is not known to differ.
    """
    found, count = [], 0
    for reviews, expected in (("reviews", "validate"), ("mutated.reviews", "mutated.validate")):
        for line, review, answer in cases(folder, reviews, expected):
            count += 1
            where = f"{folder.name} {reviews} {answer['uid']}"
            decision = decide(Webhook.VALIDATE, parse_review(line), View(), DEFAULTS)
            denied = decision.denial is not None
            try:
                check(review["request"]["object"])
            except Refused:
                if answer["allowed"] or not denied:
                    raise Unexplained(f"{where}: does not decode, and yet is allowed") from None
                continue
            pod = review["request"]["object"]
            ours, theirs = validation_model.ours(pod)[0], validation_model.koordinator(pod)
            named = {rule for rule in RULES if f"(rule {rule})" in (decision.denial or "")}
            if named != ours:
                raise Unexplained(f"{where}: denied by {named}, the table says {ours}")
            if bool(theirs) is answer["allowed"]:
                raise Unexplained(
                    f"{where}: Koordinator's rules say {theirs}, its answer {answer['message']}"
                )
            if denied is answer["allowed"]:
                rules = ours ^ theirs
                if not rules or not rules <= validation_model.DIFFERENCES.keys():
                    raise Unexplained(f"{where}: the rules {rules} are not known to differ")
                found.append(
                    Difference(
                        folder.name, reviews, answer["uid"], tuple(f"8:{rule}" for rule in sorted(rules))
                    )
                )
    return count, found
