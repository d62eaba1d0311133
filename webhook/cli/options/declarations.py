"""Declarations of options: kinds that occur more than once, and groups that become one argument."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final

import click

from webhook.protocol import SLO_CONFIGMAP

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

NAMESPACED: Final = "NAMESPACE/NAME"


class NamespacedName(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """``NAMESPACE/NAME``."""

    name = "namespace/name"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return namespace and name."""
        if isinstance(value, tuple):
            return value
        namespace, _, name = value.partition("/")
        if not namespace or not name or "/" in name:
            self.fail(f"{value!r} is not {NAMESPACED}", param, ctx)
        return namespace, name


def choice_option(
    *flags: str, choices: Iterable[str], default: str | None = None, text: str = ""
) -> Decorator:
    """Declare an option with a few values, the first of which is the default unless another is named."""
    names = [str(choice) for choice in choices]
    return click.option(
        *flags, type=click.Choice(names), default=default or names[0], show_default=True, help=text or None
    )


def seconds_option(*flags: str, kind: click.ParamType, default: int, text: str) -> Decorator:  # type: ignore[type-arg] # as above
    """Declare an option whose value is a duration."""
    return click.option(*flags, type=kind, default=default, show_default=True, metavar="SECONDS", help=text)


def share_pool_option(flag: str) -> Decorator:
    """Declare an option for how many CPUs of a node stay in the share pool."""
    return click.option(
        flag,
        default="1",
        show_default=True,
        metavar="CPUS|PERCENT%",
        help="How many CPUs of a node stay for pods without CPUs of their own: 2, or 10% of its CPUs.",
    )


def lease_option(flag: str, name: str, purpose: str) -> Decorator:
    """Declare an option that names a Lease; without it, the Lease ``name`` in the default namespace."""
    return click.option(
        flag,
        type=NamespacedName(),
        metavar=NAMESPACED,
        help=f"{purpose} [default: {name} in the namespace of the service account or context].",
    )


config_option: Final[Decorator] = click.option(
    "--config",
    type=NamespacedName(),
    metavar=NAMESPACED,
    default=f"koordinator-system/{SLO_CONFIGMAP}",
    show_default=True,
    help="The ConfigMap with the colocation strategy, in a cluster.",
)
"""Add --config; pass ``config``: namespace and name."""


def grouped(argument: str, make: Callable[..., object], *options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command and passes their values as one argument.

    Args:
        argument: the name of the command's argument.
        make: called with the values whose names are its parameters; returns the argument's value.
        options: in the order of the help.
    """
    names = inspect.signature(make).parameters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def wrapped(*args: object, **values: object) -> object:
            taken = {name: values.pop(name) for name in names if name in values}
            return command(*args, **values, **{argument: make(**taken)})

        declared: Callable[..., Any] = wrapped
        for option in reversed(options):
            declared = option(declared)
        return declared

    return decorate
