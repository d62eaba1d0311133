"""``colocation-webhook check``: errors in profiles and in Koordinator's ConfigMap, and what conflicts."""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from webhook.admission.profiles.findings import Report, Severity, examine
from webhook.admission.profiles.overlap import Overlap
from webhook.admission.profiles.profile import Profile
from webhook.admission.view import View
from webhook.cli.options.objects import load_view, objects_in
from webhook.cli.options.output import echo_data, output_option
from webhook.cli.options.settings import objects_option, rule_option
from webhook.cli.terminal import bad, color_option, echo_lines, first_of, good, heading, muted, warning
from webhook.protocol import SLO_CONFIGMAP, Action
from webhook.slo.check import Report as ConfigReport
from webhook.slo.check import check_configmap

_NAMESPACES_SHOWN: Final = 3


@click.command()
@objects_option
@output_option
@click.option("--strict", is_flag=True, help="Fail on warnings as well.")
@click.option("--max-overlaps", type=click.IntRange(0), default=20, show_default=True,
              help="Report at most this many pairs of conflicting profiles.")  # fmt: skip
@rule_option
@color_option
def check(
    objects: Path,
    *,
    output: str,
    strict: bool,
    max_overlaps: int,
    rule: tuple[tuple[str, Action], ...],
    color: str,
) -> None:
    """Find errors in profiles and in the ConfigMap slo-controller-config, and what conflicts.

    Errors: a profile cannot be applied, has a misspelled field, names a PriorityClass that
    does not exist, or combines a QoS class with a priority class that validation denies.
    Warnings: other unknown fields, no selectors, selectors that match nothing, a label that
    is both tested by the selector and changed, a combination that validation warns about,
    and pairs of profiles that can match the same pod and set different values: the profile
    whose name sorts last wins. Schedulers cannot be checked from files.

    Of a ConfigMap of that name among the files, errors are what Koordinator's webhook refuses:
    values out of their range, nodeSelectors that overlap, and Nodes among the files that two
    entries select. Unknown keys and fields are warnings.

    Exit status: 1 if there is an error (with --strict: or a warning), nothing to check, or
    the files cannot be read, else 0.

    \b
    Examples:
      colocation-webhook check --objects examples/objects
      colocation-webhook check --objects DIR --strict -o json | jq '.overlaps'
    """  # noqa: D301 — see main
    view = load_view(objects, report_problems=False)
    report = examine(view, dict(rule), max_overlaps)
    configs = _configs(objects)
    errors = report.count(Severity.ERROR) + sum(len(each.report.problems) for each in configs)
    warnings = report.count(Severity.WARNING) + sum(len(each.report.warnings) for each in configs)
    if output == "text":
        total = _total(report, configs, errors, warnings)
        echo_lines(chain(_text(report, view), _config_text(configs), [total]), color)
    else:
        counts = {"profiles": report.profiles, "errors": errors, "warnings": warnings}
        listed = [each.to_json() for each in configs]
        echo_data(counts | _document(report, view) | {"configMaps": listed}, output)
    nothing = not report.profiles and not configs
    if nothing:
        wanted = f"no ClusterColocationProfile and no ConfigMap {SLO_CONFIGMAP}"
        click.echo(f"Error: nothing to check: {objects} has {wanted}", err=True)
    if errors or nothing or (strict and warnings):
        sys.exit(1)


class _Config(NamedTuple):
    """A ConfigMap, and what is wrong with it."""

    namespace: str
    report: ConfigReport

    def __str__(self) -> str:
        return f"{self.namespace}/{SLO_CONFIGMAP}" if self.namespace else SLO_CONFIGMAP

    def to_json(self) -> dict[str, Any]:
        problems = [each._asdict() for each in self.report.problems]
        return {"name": str(self), "errors": problems, "warnings": list(self.report.warnings)}


def _configs(directory: Path) -> list[_Config]:
    """Check the ConfigMaps among the files; that the files can be read is known."""
    nodes: dict[str, Mapping[str, str]] = {}
    found: list[tuple[str, Mapping[str, Any]]] = []
    for each in objects_in(directory):
        metadata = each.get("metadata")
        if not isinstance(metadata, dict):
            continue
        name = metadata.get("name")
        if each.get("kind") == "Node":
            labels = metadata.get("labels")
            known = labels.items() if isinstance(labels, dict) else ()
            nodes[str(name)] = {key: value for key, value in known if isinstance(value, str)}
        elif each.get("kind") == "ConfigMap" and name == SLO_CONFIGMAP:
            data = each.get("data")
            found.append((str(metadata.get("namespace") or ""), data if isinstance(data, dict) else {}))
    return [_Config(namespace, check_configmap(data, nodes)) for namespace, data in found]


def _config_text(configs: list[_Config]) -> Iterator[str]:
    for each in configs:
        if any(each.report):
            yield heading(f"ConfigMap {each}")
            yield from (f"  {bad(f'✗ {message} ({reason})')}" for reason, message in each.report.problems)
            yield from (f"  {warning(f'! {message}')}" for message in each.report.warnings)
            yield ""


def _total(report: Report, configs: list[_Config], errors: int, warnings: int) -> str:
    of = ", ".join(
        [_counted(report.profiles, "profile"), *[_counted(len(configs), "ConfigMap")] * bool(configs)]
    )
    total = f"{of}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    if not report.profiles and not configs:
        return muted(total)
    return bad(total) if errors else warning(total) if warnings else good(f"✓ {total}")


def _text(report: Report, view: View) -> Iterator[str]:
    last = None
    for finding in report.findings:
        if finding.profile != last:
            yield heading(f"Profile {finding.profile}")
            last = finding.profile
        style, mark = (bad, "✗") if finding.severity is Severity.ERROR else (warning, "!")
        yield "  " + style(f"{mark} {finding.message}")
    if report.findings:
        yield ""
    for overlap in report.overlaps:
        yield from _overlap_text(overlap, view)
    if report.more_overlaps:
        yield muted(f"… more pairs conflict: use --max-overlaps to show more than {len(report.overlaps)}")
        yield ""


def _overlap_text(overlap: Overlap, view: View) -> Iterator[str]:
    yield heading(f"Profiles {overlap.first} and {overlap.second} can match the same pod and conflict")
    yield muted(f"  {_common_namespaces(overlap, view)}")
    for path, first, second in overlap.disagreements:
        values = f"{overlap.first} sets {_shown(first)}, {overlap.second} sets "
        yield warning(f"  ! {path}: ") + values + heading(_shown(second)) + muted(" (wins)")
    yield ""


def _common_namespaces(overlap: Overlap, view: View) -> str:
    """Describe the known namespaces that both profiles select."""
    common = _namespaces(overlap, view)
    if not common:
        return "in none of the given Namespaces, but such a namespace could be created"
    return f"in namespaces such as {first_of(common, _NAMESPACES_SHOWN)}"


def _namespaces(overlap: Overlap, view: View) -> list[str]:
    pair: list[Profile] = [view.profiles[overlap.first], view.profiles[overlap.second]]
    return [
        name
        for name, labels in sorted(view.namespaces.items())
        if all(profile.namespace_selector.matches(labels) for profile in pair)
    ]


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _document(report: Report, view: View) -> dict[str, Any]:
    return {
        "findings": [finding._asdict() for finding in report.findings],
        "overlaps": [
            {
                "first": overlap.first,
                "second": overlap.second,
                "wins": overlap.second,
                "namespaces": _namespaces(overlap, view),
                "disagreements": [disagreement._asdict() for disagreement in overlap.disagreements],
            }
            for overlap in report.overlaps
        ],
        "moreOverlaps": report.more_overlaps,
    }
