"""``colocation-webhook completion``: a shell completion script."""

import click
from click.shell_completion import get_completion_class

from webhook.cli.main import PROGRAM, main


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script with which a shell completes commands, options and values.

    \b
    Examples:
      source <(colocation-webhook completion bash)     # in this shell, or in ~/.bashrc
      source <(colocation-webhook completion zsh)      # or in ~/.zshrc
      colocation-webhook completion fish > ~/.config/fish/completions/colocation-webhook.fish
    """  # noqa: D301 — see main
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click has no completion for {shell}")
    click.echo(kind(main, {}, PROGRAM, f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()).source())
