"""``colocation-webhook doctor``: what works and what does not, each with its remedy."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webhook.cli.options.access import in_cluster_option, kubeconfig_option, open_api_or_home
from webhook.cli.terminal import bad, color_option, coloured, good, odd, quiet

if TYPE_CHECKING:
    from webhook.cli.doctor.diagnosis import Case, Line


@click.command()
@kubeconfig_option
@in_cluster_option
@click.option("--release", default="", metavar="NAME", help="Helm release to look at; without it, any.")
@click.option("--namespace", default="", metavar="NS", help="Namespace of the release; without it, any.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@color_option
def doctor(
    *,
    kubeconfig: Path | None,
    in_cluster: bool,
    release: str,
    namespace: str,
    output: str,
    color: str,
) -> None:
    """Tell what works in a cluster and what does not, and what to do about it.

    Looks at the webhook configurations, the serving certificate, each replica's view, the
    profiles and the schedulers they name, the nodes' batch resources, Koordinator's own
    webhook, and how often the API server went on without an answer. Nothing is changed.
    Without --kubeconfig and --in-cluster, KUBECONFIG or ~/.kube/config is read. What may not be
    read is said, and costs that line only.

    Exit status: 1 when something does not work (✗), else 0.

    \b
    Examples:
      colocation-webhook doctor
      colocation-webhook doctor --kubeconfig F --release colocation --namespace colocation-system
      kubectl exec deploy/colocation-webhook -- colocation-webhook doctor --in-cluster
    """  # noqa: D301 — see main
    from webhook.cli.doctor.diagnosis import Case, Verdict

    api = open_api_or_home(kubeconfig, in_cluster=in_cluster)
    lines = list(_lines(Case(api, release=release, namespace=namespace, in_cluster=in_cluster)))
    if output == "json":
        click.echo(json.dumps({"findings": [line._asdict() for line in lines]}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_text(lines)), color=coloured(color))
    if any(line.verdict == Verdict.ERROR for line in lines):
        sys.exit(1)


def _lines(case: "Case") -> Iterator["Line"]:
    from webhook.cli.doctor import colocation, webhooks
    from webhook.cli.doctor.diagnosis import examine

    for subject, check in (
        ("webhook configurations", webhooks.configurations),
        ("serving certificate", webhooks.certificate),
        ("view of the cluster", colocation.view),
        ("profiles", colocation.profiles),
        ("schedulers", colocation.schedulers),
        ("nodes", colocation.nodes),
        ("Koordinator's webhook", webhooks.koordinator),
        ("fail-open", webhooks.fail_open),
    ):
        yield from examine(case, subject, check)


def _text(lines: list["Line"]) -> Iterator[str]:
    styles = {"ok": (good, "✓"), "warning": (odd, "!"), "error": (bad, "✗")}
    for line in lines:
        style, mark = styles[line.verdict]
        yield f"{style(f'{mark} {line.subject}:')} {line.message}"
        if line.remedy:
            yield quiet(f"    → {line.remedy}")
    wrong = sum(line.verdict == "error" for line in lines)
    odd_ones = sum(line.verdict == "warning" for line in lines)
    total = f"{wrong} do not work, {odd_ones} deserve a look"
    yield bad(f"✗ {total}") if wrong else odd(f"! {total}") if odd_ones else good("✓ all is well")
