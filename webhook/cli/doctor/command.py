"""``colocation-webhook doctor``: findings about an installation, each with its remedy."""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.output import echo_data, output_option
from webhook.cli.terminal import bad, color_option, echo_lines, good, muted, warning

if TYPE_CHECKING:
    from webhook.cli.doctor.diagnosis import Finding

_STYLES: Final = {"ok": (good, "✓"), "warning": (warning, "!"), "error": (bad, "✗")}


@click.command()
@cluster_options
@click.option("--release", default="", metavar="NAME", help="Examine this Helm release only.")
@click.option("--namespace", default="", metavar="NS", help="Examine releases in this namespace only.")
@output_option
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
    the profiles and the schedulers they name, whether a scheduler that asks the webhook runs and
    knows its CA, the nodes' batch resources and who publishes them, who may ask for CPU sets,
    Koordinator's own webhook, and how often the API server proceeded without an answer.
    Changes nothing. Without --kubeconfig and --in-cluster, it reads KUBECONFIG or
    ~/.kube/config. Where rights are missing, it says which, examines the rest, and looks at
    the pods of the namespace of the kubeconfig's context.

    Exit status: 1 if there is an error (✗) or something could not be checked, else 0.

    \b
    Examples:
      colocation-webhook doctor
      colocation-webhook doctor --namespace colocation-system --release colocation-webhook
      kubectl -n NS exec deploy/colocation-webhook -- colocation-webhook doctor --in-cluster
    """  # noqa: D301 — see main
    from webhook.cli.doctor import capacity, colocation, extender, webhooks
    from webhook.cli.doctor.diagnosis import Cluster, Verdict, examine
    from webhook.cli.doctor.namespace import pods_at_home

    checks = {
        "webhook configurations": webhooks.configurations,
        "serving certificate": webhooks.certificate,
        "view of the cluster": colocation.view,
        "profiles": colocation.profiles,
        "schedulers": colocation.schedulers,
        "schedulers that ask": colocation.asking_schedulers,
        "extender": extender.trust,
        "nodes": colocation.nodes,
        "publishers": capacity.publishers,
        "bindings": webhooks.bindings,
        "Koordinator's webhook": webhooks.koordinator,
        "fail-open": webhooks.fail_open,
    }
    examined = Cluster(cluster.open_or_home(), release, namespace, cluster.in_cluster)
    findings = examine(examined, checks, pods_at_home)
    if output == "text":
        echo_lines(_text(findings), color)
    else:
        listed = [{"verdict": found.verdict, "subject": about} | found._asdict() for about, found in findings]
        echo_data({"findings": listed}, output)
    if any(finding.verdict is Verdict.ERROR for _, finding in findings):
        sys.exit(1)


def _text(findings: list[tuple[str, "Finding"]]) -> Iterator[str]:
    for subject, finding in findings:
        style, mark = _STYLES[finding.verdict]
        yield f"{style(f'{mark} {subject}:')} {finding.message}"
        if finding.remedy:
            yield muted(f"    → {finding.remedy}")
    count: Counter[str] = Counter(finding.verdict for _, finding in findings)
    errors, warnings = count["error"], count["warning"]
    total = f"errors: {errors}, warnings: {warnings}"
    yield bad(f"✗ {total}") if errors else warning(f"! {total}") if warnings else good("✓ no problems found")
