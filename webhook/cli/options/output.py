"""``-o text|json|yaml``: for people, or for machines."""

import json
from typing import Any, Final

import click

from webhook.cli.options.declarations import Decorator, choice_option

output_option: Final[Decorator] = choice_option("-o", "--output", choices=("text", "json", "yaml"))
"""Add --output; pass ``output``."""


def echo_data(value: Any, output: str) -> None:  # noqa: ANN401 — what JSON can hold
    """Print a value in the form that ``-o`` says: json or yaml."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if output == "json":
        click.echo(text)
    else:
        from webhook.cli.preview.diff import yaml_of

        click.echo(yaml_of(json.loads(text)), nl=False)
