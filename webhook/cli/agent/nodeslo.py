"""The options of ``agent`` for what holds on a node that has no NodeSLO."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from webhook.cli.options.declarations import NAMESPACED, NamespacedName, grouped


class _Spec(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """The spec of a NodeSLO; a mistake of whoever starts the agent ends it."""

    name = "json"

    def convert(
        self, value: str | Mapping[str, Any], param: click.Parameter | None, ctx: click.Context | None
    ) -> Mapping[str, Any]:
        """Return what is written."""
        del param
        if isinstance(value, Mapping):
            return value
        from webhook.slo.nodeslo import read_nodeslo

        try:
            spec = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--node-slo: is not JSON: {error}: correct it", ctx) from None
        if findings := read_nodeslo(spec).findings:
            raise click.UsageError(f"--node-slo: {findings[0]}", ctx)
        return spec or {}


class SLOFlags(NamedTuple):
    """For a node without a NodeSLO: the ConfigMap, where one is to be read, and what holds without either."""

    node_slo: Mapping[str, Any]
    config: tuple[str, str] | None

    def of(self, configmap: Mapping[str, Any] | None, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what holds for a v1 Node, and say what cannot be read; None: there is no such ConfigMap."""
        from webhook.pods.pod import labels
        from webhook.slo.strategies import read_strategies, spec_of

        name = "/".join(self.config or ())
        if configmap is None:
            if name:
                click.echo(f"ConfigMap {name}: there is none, so --node-slo holds", err=True)
            return self.node_slo
        data = configmap.get("data") or {}
        if not isinstance(data, Mapping):
            raise click.UsageError(f"ConfigMap {name}: data: must be an object: correct it")
        strategies = read_strategies(data)
        for finding in strategies.findings:
            click.echo(f"ConfigMap {name}: {finding}", err=True)
        return spec_of(strategies, labels(node))


slo_options = grouped(
    "slo",
    SLOFlags,
    click.option(
        "--config",
        type=NamespacedName(),
        metavar=NAMESPACED,
        help="Koordinator's ConfigMap, to be read for a node that has no NodeSLO [default: it is not read].",
    ),
    click.option(
        "--node-slo",
        type=_Spec(),
        metavar="JSON",
        default={},
        help="The spec of a NodeSLO, for a node without both [default: nothing is switched on].",
    ),
)
"""Add the options; pass ``slo``."""
