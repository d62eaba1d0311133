"""The options of every long-running command for what it says on standard error."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from webhook.cli.options.declarations import choice_option, grouped

if TYPE_CHECKING:
    from webhook.process.log import Format


class LogFlags(NamedTuple):
    """From which level on lines are written, and how."""

    log_level: str
    log_format: Literal["auto", "json", "text"]

    def configure(self) -> "Format":
        """Send the log to standard error, and return in which format."""
        from webhook.process.log import chosen, configure

        form = chosen(self.log_format)
        configure(self.log_level, form)
        return form


log_options = grouped(
    "log",
    LogFlags,
    choice_option("--log-level", choices=("debug", "info", "warning", "error"), default="info"),
    choice_option(
        "--log-format", choices=("auto", "json", "text"), text="auto: text on a terminal, else json."
    ),
)
"""Add --log-level and --log-format; pass ``log``."""
