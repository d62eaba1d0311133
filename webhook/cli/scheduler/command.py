"""``colocation-webhook scheduler``: translate Koordinator's configuration, explain where a pod may go."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from webhook.cli.options.clock import Clock, pass_clock
from webhook.cli.options.declarations import NamespacedName
from webhook.cli.options.output import echo_data, output_option
from webhook.cli.options.setterms import SetTermFlags, set_term_options
from webhook.cli.scheduler.source import SourceFlags, source_options
from webhook.cli.terminal import color_option, echo_lines, first_of, good, heading, warning
from webhook.kube.files import read_all, read_file

if TYPE_CHECKING:
    from webhook.scheduling.cluster.state import Visit
    from webhook.scheduling.translation.translation import Translation

_PODS_NAMED: Final = 5


@click.group(name="scheduler", context_settings={"help_option_names": ["-h", "--help"]})
def scheduler() -> None:
    """Explain where a pod may go; translate Koordinator's configuration. Nothing is written."""


@scheduler.command(short_help="Translate Koordinator's configuration.")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@output_option
@color_option
def translate(*, config: Path, output: str, color: str) -> None:
    """Translate Koordinator's scheduler configuration for a stock kube-scheduler.

    Prints the values of this chart that do the same, the configuration of a kube-scheduler of your own, and
    what has no counterpart.

    CONFIG is Koordinator's KubeSchedulerConfiguration, v1beta2 to v1, or the ConfigMap that has it; - is
    standard input. With -o yaml and json the kube-scheduler configuration stands under "configuration", and
    the chart's values under "values".

    Exit status: 1 if it cannot be read, else 0.

    \b
    Examples:
      colocation-webhook scheduler translate examples/scheduler/koord-scheduler-config.yaml
      kubectl get cm koord-scheduler-config -o yaml | colocation-webhook scheduler translate -
    """  # noqa: D301 — see main
    from webhook.pods.documents import DocumentError
    from webhook.scheduling.translation.translation import TranslationError

    name = "standard input" if str(config) == "-" else str(config)
    try:
        data = read_all(sys.stdin.buffer) if str(config) == "-" else read_file(config)
        done = _translated(data, name)
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    except TranslationError as error:
        raise click.ClickException(f"{name}: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{name}: {error.strerror}") from None
    if output == "text":
        echo_lines(_text(done), color)
    else:
        echo_data(done.to_json(), output)


@scheduler.command()
@click.argument("pod", metavar="NAMESPACE/POD", type=NamespacedName())
@source_options
@set_term_options
@click.option(
    "--settings",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings of serve --scheduler [default: Koordinator's defaults].",
)
@output_option
@color_option
@pass_clock
def explain(  # noqa: PLR0913 — its options
    clock: Clock,
    *,
    pod: tuple[str, str],
    source: SourceFlags,
    terms: SetTermFlags,
    settings: Path | None,
    output: str,
    color: str,
) -> None:
    """Print to which nodes a pod may go, and why.

    What the extender would answer now, with figures: load, CPU sets, scores, and what would make a node fit.
    What kube-scheduler checks itself (requests, taints, affinity) is not looked at. With --objects, now is
    the time of the newest NodeMetric. Give --cpusets-policy and the like as serve has them.

    Exit status: 1 if there is no such pod, no node fits, or the input cannot be read, else 0.

    \b
    Examples:
      colocation-webhook scheduler explain shop/cart
      colocation-webhook scheduler explain shop/web-0 --objects examples/capacity
    """  # noqa: D301 — see main
    from webhook.cli.scheduler.text import explanation_text
    from webhook.scheduling.explanation import explain as explained
    from webhook.scheduling.explanation import remarks

    visit, nodes = _visit(pod, source, terms, settings, clock)
    verdicts, said = explained(visit, nodes), list(remarks(visit))
    name = "/".join(pod)
    if output == "text":
        echo_lines(explanation_text(name, verdicts, said), color)
    else:
        echo_data({"pod": name, "remarks": said, "nodes": [each.to_json() for each in verdicts]}, output)
    if all(each.reasons for each in verdicts):
        raise click.exceptions.Exit(1)


def _visit(
    pod: tuple[str, str], source: SourceFlags, terms: SetTermFlags, settings: Path | None, clock: Clock
) -> "tuple[Visit, list[str]]":
    """Return the cluster as a pod finds it, and the names of its nodes."""
    from webhook.scheduling.cluster.snapshot import cluster_of
    from webhook.scheduling.cluster.state import NotKnownError
    from webhook.scheduling.settings import SchedulingSettings, SchedulingSettingsError, read_settings_file

    sets = terms.read()
    found = source.read()
    named = [each for each in found["Pod"] if (_namespace(each), each["metadata"]["name"]) == pod]
    if not named:
        others = sorted(each["metadata"]["name"] for each in found["Pod"] if _namespace(each) == pod[0])
        has = f"has {first_of(others, _PODS_NAMED)}" if others else "has no pod"
        raise click.ClickException(f"there is no pod {'/'.join(pod)}: namespace {pod[0]} {has}")
    moment = source.moment(found, clock.now)
    metadata = {"uid": "", **named[0]["metadata"], "namespace": pod[0]}
    try:
        chosen = read_settings_file(settings) if settings is not None else SchedulingSettings()
        visit = cluster_of(found, chosen, lambda: moment, sets).visit({**named[0], "metadata": metadata})
    except (SchedulingSettingsError, NotKnownError) as error:
        raise click.ClickException(str(error)) from None
    return visit, sorted(each["metadata"]["name"] for each in found["Node"])


def _namespace(pod: Mapping[str, Any]) -> str:
    return pod["metadata"].get("namespace") or "default"


def _translated(data: bytes, name: str) -> "Translation":
    from webhook.pods.documents import read_documents
    from webhook.scheduling.translation.translate import KIND, translate
    from webhook.scheduling.translation.translation import TranslationError

    documents = [each.value for each in read_documents(data, name)]
    if len(documents) != 1:
        raise TranslationError(f"{len(documents)} documents: give one {KIND}, or one ConfigMap")
    (value,) = documents
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap":
        return translate(value)
    texts = value.get("data")
    inner = [
        each.value
        for key, text in (texts.items() if isinstance(texts, dict) else ())
        if isinstance(text, str) and KIND in text
        for each in read_documents(text.encode(), f"{name} data[{key}]")
        if isinstance(each.value, dict) and each.value.get("kind") == KIND
    ]
    if len(inner) != 1:
        raise TranslationError(f"data: {len(inner)} documents are a {KIND}: give a ConfigMap with one")
    return translate(inner[0])


def _text(done: "Translation") -> Iterator[str]:
    from webhook.cli.preview.diff import yaml_of

    def block(title: str, value: Any) -> Iterator[str]:  # noqa: ANN401 — what JSON can hold
        yield heading(title)
        yield from (f"  {line}" for line in yaml_of(value).splitlines())

    yield from block("Values of the chart", done.values)
    yield ""
    yield from block(
        "Configuration of a stock kube-scheduler, without the extender that the chart adds",
        done.configuration,
    )
    yield ""
    yield heading("Taken over")
    yield from (f"  {good('✓')} {line}" for line in done.taken_over)
    yield ""
    yield heading("Without counterpart")
    yield from (f"  {warning('!')} {line}" for line in done.without_counterpart or ("nothing",))
