"""The option of ``agent`` for what holds on a node that has no NodeSLO."""

import json
from collections.abc import Mapping
from typing import Any, Final

import click

from webhook.cli.options.declarations import Decorator


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


node_slo_option: Final[Decorator] = click.option(
    "--node-slo",
    type=_Spec(),
    metavar="JSON",
    default={},
    help="The spec of a NodeSLO, for a node that has none [default: nothing is switched on].",
)
