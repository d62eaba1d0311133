"""``colocation-webhook preview``: a simulated admission of the pods of a manifest."""

import sys
from collections import Counter
from pathlib import Path

import click
import orjson

from webhook.admission.settings import Settings
from webhook.cli.options.declarations import choice_option
from webhook.cli.options.manifests import FILE, Manifests, read_manifests
from webhook.cli.options.objects import load_view
from webhook.cli.options.settings import decision_options, objects_option
from webhook.cli.preview.diff import yaml_of
from webhook.cli.preview.simulation import Simulation, simulate
from webhook.cli.preview.text import text_of
from webhook.cli.terminal import color_option, echo_lines
from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.manifests.workloads import NotShown


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

    FILE is a file or directory, read as kubectl reads it; - is standard input. Shown are
    Pods, Kubernetes' kinds with a pod template (Deployment, StatefulSet, DaemonSet, Job,
    CronJob, …), and SparkApplications and SparkConnects, whose pods are built as the
    operator and Spark build them. Of other kinds, whose controllers are not known, pod
    templates are shown as a guess. A document that cannot be read does not hide the others.

    Exit status: 1 if there is nothing to show, a pod would be denied or would no longer meet
    the selector of its workload (orphaned), or something cannot be read, else 0.

    \b
    Examples:
      colocation-webhook preview --objects examples/objects examples/manifests/spark-tc-complex.yaml
      helm template my-chart | colocation-webhook preview --objects DIR -n web -
      colocation-webhook preview --objects DIR -o json pod.yaml | jq '.pods[].patch'
    """  # noqa: D301 — see main
    view = load_view(objects, report_problems=False)
    manifests = read_manifests(files)
    simulations = []
    for subject in manifests.pods:
        try:
            simulations.append(simulate(subject, namespace, view, settings, seed))
        except WorkloadError as error:
            manifests.errors.append(str(error))
    for line in (*map(str, manifests.ignored), *(f"Error: {error}" for error in manifests.errors)):
        click.echo(line, err=True)
    if output == "text":
        for simulation in simulations:
            echo_lines(text_of(simulation, view, profiles_shown).split("\n"), color)
        click.echo(_summary(simulations, manifests))
    else:
        value = {
            "pods": [simulation.to_json(view) for simulation in simulations],
            "passedOver": [ignored._asdict() for ignored in manifests.ignored],
            "errors": manifests.errors,
        }
        body = orjson.dumps(value, option=orjson.OPT_INDENT_2)
        click.echo(body.decode() if output == "json" else yaml_of(orjson.loads(body)), nl=output == "json")
    if not simulations:
        click.echo("Error: nothing to show: no pod, and no object that creates pods", err=True)
    if (
        not simulations
        or manifests.errors
        or any(simulation.denials or simulation.orphaned for simulation in simulations)
    ):
        sys.exit(1)


def _summary(simulations: list[Simulation], manifests: Manifests) -> str:
    count = Counter(simulation.outcome for simulation in simulations)
    shown = ("changed", "unchanged", "denied", *(["orphaned"] if count["orphaned"] else []))
    outcomes = ", ".join(f"{count[outcome]} {outcome}" for outcome in shown)
    unknown = sum(ignored.reason is NotShown.UNKNOWN for ignored in manifests.ignored)
    missing = [
        f"{number} {what}"
        for number, what in ((unknown, "of unknown kinds"), (len(manifests.errors), "that cannot be read"))
        if number
    ]
    not_shown = f"; not shown: {', '.join(missing)}" if missing else ""
    return f"{len(simulations)} pod{'s' * (len(simulations) != 1)}: {outcomes}{not_shown}"
