"""Shared options for objects, rules and modes, and their conversion into ``Settings``.

Decorate a command with ``objects_option`` to get ``objects: Path``, with
``settings_options`` (or ``decision_options``, for commands that answer no reviews) to
get ``settings: Settings``, with ``rule_option`` to get ``rule``: pairs of name and action.
"""

from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from webhook.admission.settings import Mode, PodLevelResources, Settings
from webhook.admission.validating.rules import RULES
from webhook.cli.options.declarations import choice_option, grouped
from webhook.protocol import Action

_ALIKE: Final = 0.4  # below that, what two names share is chance


class _Objects(click.Path):
    """A directory that has to be named."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Return what to give."""
        del param, ctx
        return "Give a directory of profiles and namespaces, such as examples/objects."


objects_option = click.option(
    "--objects",
    required=True,
    metavar="DIR",
    type=_Objects(exists=True, file_okay=False, path_type=Path),
    help="Directory of profiles, PriorityClasses, Namespaces, LimitRanges and ResourceQuotas (YAML or JSON).",
)

optional_objects_option = click.option(
    "--objects",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of objects (YAML or JSON); with a cluster, its profiles are added to the cluster's.",
)


class RuleType(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """``NAME=ACTION``: a rule of ``webhook.admission.validating.rules`` and its action."""

    name = "name=action"

    def convert(
        self, value: str | tuple[str, Action], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Action]:
        """Return the rule and the action; the usage error for an unknown one suggests or lists valid ones."""
        if isinstance(value, tuple):
            return value
        name, equals, action = value.partition("=")
        if name not in RULES:
            close = get_close_matches(name, RULES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the rules are{_rules_like(name)}"
            self.fail(f"there is no rule {name!r}: {hint}", param, ctx)
        if not equals or action not in set(Action):
            self.fail(f"{value!r}: write {name}= and one of {', '.join(Action)}", param, ctx)
        return name, Action(action)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete names of rules, then actions."""
        del ctx, param
        pairs = [f"{name}={action}" for name in RULES for action in Action]
        candidates = pairs if "=" in incomplete else [f"{name}=" for name in RULES]
        return [CompletionItem(item) for item in candidates if item.startswith(incomplete)]


def _rules_like(name: str) -> str:
    """List all rules, one a line, those first that begin with ``name``, hold it or look like it."""

    def distance(rule: str) -> tuple[bool, bool, float]:
        likeness = SequenceMatcher(None, name, rule).ratio()
        return not rule.startswith(name), name not in rule, -likeness if likeness >= _ALIKE else 0

    nearest = sorted(RULES, key=distance)
    width = max(map(len, RULES))
    return "".join(f"\n  {rule.ljust(width)}  {RULES[rule].meaning}" for rule in nearest)


def _settings(
    rule: tuple[tuple[str, Action], ...],
    pod_level_resources: str,
    mode: str = Mode.ENFORCE,
    signing_key_file: Path | None = None,
) -> Settings:
    key = b""
    if signing_key_file is not None:
        from webhook.server.signingkey import read_signing_key

        try:
            key = read_signing_key(signing_key_file)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--signing-key") from None
    return Settings(Mode(mode), PodLevelResources(pod_level_resources), dict(rule), key)


_mode_option = choice_option(
    "--mode", choices=Mode, text="audit: patch and deny nothing; warnings say what would have happened."
)
rule_option = click.option(
    "--rule",
    multiple=True,
    type=RuleType(),
    metavar="NAME=ACTION",
    help="Set the action of a validation rule: deny, warn or off; may be repeated. An unknown name lists "
    "the rules.",
)
_pod_level_option = choice_option(
    "--pod-level-resources",
    choices=PodLevelResources,
    text="What happens to spec.resources of a pod whose cpu and memory become batch resources.",
)
_signing_key_option = click.option(
    "--signing-key",
    "signing_key_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a secret that all replicas share. It signs the profiles applied to a pod, so that nobody "
    "can forge them before the API server's second call for that pod.",
)

decision_options = grouped("settings", _settings, rule_option, _pod_level_option)
"""Add --rule and --pod-level-resources; pass ``settings`` to the command."""

settings_options = grouped(
    "settings", _settings, _mode_option, rule_option, _pod_level_option, _signing_key_option
)
"""Add --mode, --rule, --pod-level-resources and --signing-key; pass ``settings`` to the command."""
