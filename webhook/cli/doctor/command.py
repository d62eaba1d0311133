"""``colocation-webhook doctor``: findings about an installation, each with its remedy."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.declarations import choice_option
from webhook.cli.terminal import bad, color_option, coloured, good, muted, warning

if TYPE_CHECKING:
    from webhook.cli.doctor.diagnosis import CheckResult, Cluster


@click.command()
@cluster_options
@click.option("--release", default="", metavar="NAME", help="Examine this Helm release only.")
@click.option("--namespace", default="", metavar="NS", help="Examine releases in this namespace only.")
@choice_option("-o", "--output", choices=("text", "json"))
@color_option
def doctor(
    *,
    cluster: ClusterFlags,
    release: str,
    namespace: str,
    output: str,
    color: str,
) -> None:
    """Diagnose an installation in a cluster, with a remedy for every finding.

    Examines the webhook configurations, the serving certificate, the view of each replica,
    the profiles and the schedulers they name, the nodes' batch resources, Koordinator's own
    webhook, and how often the API server proceeded without an answer. Changes nothing.
    Without --kubeconfig and --in-cluster, it reads KUBECONFIG or ~/.kube/config. A missing
    permission is reported and costs that finding only.

    Exit status: 1 if there is an error (✗), else 0.

    \b
    Examples:
      colocation-webhook doctor
      colocation-webhook doctor --kubeconfig F --release colocation --namespace colocation-system
      kubectl exec deploy/colocation-webhook -- colocation-webhook doctor --in-cluster
    """  # noqa: D301 — see main
    from webhook.cli.doctor.diagnosis import Cluster, Verdict

    api = cluster.open_or_home()
    findings = list(_findings(Cluster(api, release, namespace, cluster.in_cluster)))
    if output == "json":
        click.echo(
            json.dumps(
                {"findings": [finding._asdict() for finding in findings]}, indent=2, ensure_ascii=False
            )
        )
    else:
        click.echo("\n".join(_text(findings)), color=coloured(color))
    if any(finding.verdict == Verdict.ERROR for finding in findings):
        sys.exit(1)


def _findings(cluster: "Cluster") -> Iterator["CheckResult"]:
    from webhook.cli.doctor import colocation, webhooks
    from webhook.cli.doctor.diagnosis import run_check

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
        yield from run_check(cluster, subject, check)


def _text(findings: list["CheckResult"]) -> Iterator[str]:
    styles = {"ok": (good, "✓"), "warning": (warning, "!"), "error": (bad, "✗")}
    for finding in findings:
        style, mark = styles[finding.verdict]
        yield f"{style(f'{mark} {finding.subject}:')} {finding.message}"
        if finding.remedy:
            yield muted(f"    → {finding.remedy}")
    errors = sum(finding.verdict == "error" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    total = f"errors: {errors}, warnings: {warnings}"
    yield bad(f"✗ {total}") if errors else warning(f"! {total}") if warnings else good("✓ no problems found")
