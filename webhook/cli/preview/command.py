"""``colocation-webhook preview``: a simulated admission of the pods of a manifest."""

import sys
from collections import Counter
from pathlib import Path

import click
import orjson

from webhook.admission.settings import Settings
from webhook.cli.options.declarations import choice_option
from webhook.cli.options.manifests import FILE, read_pods
from webhook.cli.options.objects import load_view
from webhook.cli.options.settings import decision_options, objects_option
from webhook.cli.preview.diff import yaml_of
from webhook.cli.preview.simulation import Simulation, simulate
from webhook.cli.preview.text import text_of
from webhook.cli.terminal import color_option, coloured
from webhook.pods.podtemplates import WorkloadError


@click.command()
@objects_option
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Namespace of manifests without one."
)
@choice_option(
    "-o",
    "--output",
    choices=("text", "json", "yaml"),
    text="json and yaml contain pods before and after, the patch and the explanation.",
)
@click.option("--profiles", "profiles_shown", type=click.IntRange(0), default=10, show_default=True,
              help="Explain at most this many profiles for each pod, applied ones first.")  # fmt: skip
@click.option("--seed", default="", help="Seed for profile probabilities; change it to see other outcomes.")
@color_option
@decision_options
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=FILE,
)
def preview(  # noqa: PLR0913 — one parameter an option
    objects: Path,
    files: tuple[str, ...],
    *,
    namespace: str,
    output: str,
    profiles_shown: int,
    seed: str,
    color: str,
    settings: Settings,
) -> None:
    """Show how the pods of manifests would be changed, and why; nothing is sent to a cluster.

    FILE contains Pods, objects with a pod template (Deployment, StatefulSet, DaemonSet,
    Job, CronJob, List, …) or SparkApplications, whose driver and executor pods are built as
    the operator and Spark build them; - is standard input. Other kinds are ignored.

    Exit status: 1 if a pod would be denied, would no longer meet the selector of its
    workload (orphaned), or a file cannot be read, else 0.

    \b
    Examples:
      colocation-webhook preview --objects examples/objects examples/manifests/spark-tc-complex.yaml
      helm template my-chart | colocation-webhook preview --objects DIR -n web -
      colocation-webhook preview --objects DIR -o json pod.yaml | jq '.pods[].patch'
    """  # noqa: D301 — see main
    view = load_view(objects, report_problems=False)
    subjects = [subject for file in files for subject in read_pods(file)]
    try:
        simulations = [simulate(subject, namespace, view, settings, seed) for subject in subjects]
    except WorkloadError as error:
        raise click.ClickException(str(error)) from None
    if output == "text":
        for simulation in simulations:
            click.echo(text_of(simulation, view, profiles_shown), color=coloured(color))
        click.echo(_summary(simulations))
    else:
        value = {"pods": [simulation.to_json(view) for simulation in simulations]}
        body = orjson.dumps(value, option=orjson.OPT_INDENT_2)
        click.echo(body.decode() if output == "json" else yaml_of(orjson.loads(body)), nl=output == "json")
    if any(simulation.denials or simulation.orphaned for simulation in simulations):
        sys.exit(1)


def _summary(simulations: list[Simulation]) -> str:
    count = Counter(simulation.outcome for simulation in simulations)
    shown = ("changed", "unchanged", "denied", *(["orphaned"] if count["orphaned"] else []))
    outcomes = ", ".join(f"{count[outcome]} {outcome}" for outcome in shown)
    return f"{len(simulations)} pod{'s' * (len(simulations) != 1)}: {outcomes}"
