"""A simulated admission as text for people."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonpatch import JsonPointer

from webhook.admission.editor import Operation
from webhook.admission.explanation import profiles
from webhook.admission.mutating.reinvocation import CAUSE as REMEMBERING
from webhook.admission.view import View
from webhook.cli.preview.diff import difference
from webhook.cli.preview.simulation import BOOKKEEPING, Simulation, without_bookkeeping
from webhook.cli.terminal import bad, good, heading, muted, warning
from webhook.pods.manifests.podtemplates import name_of

_ANNOTATIONS: Final = ("metadata", "annotations")
_BOOKKEEPING_PATHS: Final = {JsonPointer.from_parts([*_ANNOTATIONS, key]).path for key in BOOKKEEPING}
_MAX_VALUE: Final = 90  # characters
_PLAIN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_MARKS: Final = {"added": "+", "removed": "-", "same": " "}


def text_of(simulation: Simulation, view: View, profiles_shown: int) -> str:
    """Describe one pod: outcome, diff, profiles, causes, warnings and what is wrong."""
    parts = [
        _header(simulation, view),
        *_section("Changes", _diff(simulation)),
        *_section("Profiles", _profiles(simulation, view, profiles_shown)),
        *_section("Why", _causes(simulation)),
        *_section("Warnings", (warning(f"! {text}") for text in simulation.warnings)),
        *_section("Orphaned", (bad(f"✗ {text}") for text in [simulation.orphaned] if text)),
        *_section("Denied", (bad(f"✗ {denial}") for denial in simulation.denials)),
    ]
    return "\n".join(parts) + "\n"


def _header(simulation: Simulation, view: View) -> str:
    styles = {"denied": bad, "orphaned": bad, "changed": good, "unchanged": muted}
    namespace = simulation.review.namespace
    lines = [
        heading(f"Pod {name_of(simulation.after)}") + "  " + styles[simulation.outcome](simulation.outcome),
        muted(f"of {simulation.subject.origin}, in namespace {namespace}"),
    ]
    if path := simulation.subject.guessed_from:
        (owner,) = simulation.subject.pod["metadata"]["ownerReferences"]
        guess = f"a guess from {path}: how a {owner['kind']} of {owner['apiVersion']} makes pods is not known"
        lines.append(warning(f"({guess} here: its controller may add labels, containers and resources)"))
    if simulation.applied_before:
        lines.append(
            muted(f"(already changed by {simulation.applied_before}; below: what a new one would get)")
        )
    if namespace not in view.namespaces:
        lines.append(muted(f"(no file describes namespace {namespace}: it has only the label of its name)"))
    return "\n".join(lines)


def _section(title: str, lines: Iterator[str]) -> list[str]:
    written = [f"  {line}" for line in lines]
    return ["", heading(title), *written] if written else []


def _diff(simulation: Simulation) -> Iterator[str]:
    before, after = map(without_bookkeeping, (simulation.review.object, simulation.after))
    for line in difference(before, after):
        if line.kind == "path":
            yield muted(f"@ {line.text}") if line.text else muted("@")
        else:
            text = f"{_MARKS[line.kind]} {line.text}"
            yield good(text) if line.kind == "added" else bad(text) if line.kind == "removed" else text


def _profiles(simulation: Simulation, view: View, shown: int) -> Iterator[str]:
    """Yield the applied profiles, then the others, those that nearly matched first."""
    listed = profiles(simulation.mutation, simulation.review, view)
    listed.sort(key=lambda profile: (not profile["applied"], _distance(profile["reason"])))
    width = max((len(profile["name"]) for profile in listed[:shown]), default=0)
    for profile in listed[:shown]:
        name, reason = profile["name"].ljust(width), profile["reason"]
        yield good(f"✓ {name}") + f"  {reason}" if profile["applied"] else muted(f"· {name}  {reason}")
    if len(listed) > shown:
        yield muted(f"… and {len(listed) - shown} more that were not applied (--profiles shows more)")


def _distance(reason: str) -> int:
    for distance, start in enumerate(("matched", "not ready", "selector")):
        if reason.startswith(start):
            return distance
    return 3


def _causes(simulation: Simulation) -> Iterator[str]:
    """Yield the operations grouped by their source: profiles first, in their order."""
    groups: dict[str, list[tuple[str, str]]] = {f"profile {n}": [] for n in simulation.mutation.applied}
    for operation in simulation.mutation.operations:
        causes = [cause for cause in operation.causes if cause.source != REMEMBERING.source]
        source = " and ".join(dict.fromkeys(_source(cause.source, simulation) for cause in causes))
        fields = ", ".join(dict.fromkeys(cause.field for cause in causes))
        for part in _parts(operation):
            line = _operation(part, simulation.review.object)
            groups.setdefault(source, []).append((fields, line))
    for source, lines in groups.items():
        if not lines:
            continue
        yield source
        width = max(len(fields) for fields, _ in lines)
        last = None
        for fields, line in lines:
            shown = "" if fields == last else fields
            yield f"  {muted(shown.ljust(width))}  {line}" if width else f"  {line}"
            last = fields


def _source(source: str, simulation: Simulation) -> str:
    return f"profile {source}" if source in simulation.mutation.applied else source


def _parts(operation: Operation) -> Iterator[Operation]:
    """Split an operation that adds a whole map of annotations; leave bookkeeping out."""
    if operation.path == "/metadata/annotations" and isinstance(operation.value, dict):
        for key, value in operation.value.items():
            if key not in BOOKKEEPING:
                path = JsonPointer.from_parts([*_ANNOTATIONS, key]).path
                yield dataclasses.replace(operation, path=path, value=value)
    elif operation.path not in _BOOKKEEPING_PATHS:
        yield operation


def _operation(operation: Operation, before: Mapping[str, Any]) -> str:
    path = _field_path(operation.path)
    if operation.op == "remove":
        return bad(f"- {path}")
    value = json.dumps(operation.value, ensure_ascii=False)
    value = value if len(value) <= _MAX_VALUE else f"{value[: _MAX_VALUE - 1]}…"
    if operation.op == "replace":
        was = json.dumps(JsonPointer(operation.path).get(before))
        return warning(f"~ {path}") + f" = {value}" + muted(f"  (was {was})")
    return good(f"+ {path}") + f" = {value}"


def _field_path(pointer: str) -> str:
    """Return a JSON Pointer in the form of messages: ``metadata.labels[app.io/name]``."""
    path = ""
    for key in JsonPointer(pointer).parts:
        path += f".{key}" if _PLAIN.fullmatch(key) else f"[{key}]"
    return path.removeprefix(".")
