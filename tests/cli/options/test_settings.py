"""Options that commands share."""

import click
import pytest
from click.testing import CliRunner

from webhook.admission.mutating.reinvocation import derive_key
from webhook.admission.settings import Mode, PodLevelResources, Settings
from webhook.admission.validating.rules import RULES
from webhook.cli.options.settings import settings_options
from webhook.protocol import Action


@pytest.fixture
def settings():
    """Return a function from arguments to the Settings they make."""

    def parse(*args):
        seen = []

        @click.command()
        @settings_options
        def command(settings):
            seen.append(settings)

        result = CliRunner().invoke(command, args)
        return seen[0] if seen else result

    return parse


def test_defaults_are_those_of_the_core(settings):
    """No option, no difference."""
    assert settings() == Settings()


def test_all_options(settings, tmp_path):
    """Each becomes its field."""
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef\n")
    arguments = ["--mode", "audit", "--pod-level-resources", "deny", "--signing-key", str(key)]
    assert settings(*arguments, "--rule", "whole-cpus=warn", "--rule", "reserve-pod=off") == Settings(
        mode=Mode.AUDIT,
        pod_level_resources=PodLevelResources.DENY,
        rules={"whole-cpus": Action.WARN, "reserve-pod": Action.OFF},
        signing_key=derive_key(b"0123456789abcdef\n"),
    )


def test_a_wrong_rule_gets_the_nearest_or_the_list(settings):
    """Exit status 2."""
    near = settings("--rule", "qos-priority/BE-pro=deny")
    assert near.exit_code == 2
    assert "did you mean 'qos-priority/BE-prod'?" in near.output
    assert "whole-cpus" in settings("--rule", "zzz=deny").output
    assert "one of deny, warn, off" in settings("--rule", "whole-cpus=maybe").output
    assert "one of deny, warn, off" in settings("--rule", "whole-cpus").output


def test_rules_stand_in_their_own_order_where_nothing_is_like_the_name(settings):
    """The order of the document; what a few letters share says nothing."""
    lines = [line for line in settings("--rule", "foo=deny").output.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == list(RULES)


@pytest.mark.parametrize("content", [b"", b"short", b" " * 40])
def test_a_key_file_without_a_secret_is_refused(settings, tmp_path, content):
    """The message says how to make one."""
    key = tmp_path / "key"
    key.write_bytes(content)
    refused = settings("--signing-key", str(key))
    assert refused.exit_code == 2
    assert "has fewer than 16 bytes: make one with" in refused.output


@pytest.mark.parametrize(
    ("written", "first"),
    [("lsr-whole", "whole-cpus"), ("coloc", "resize-colocated"), ("batch", "batch-resources-need-be")],
)
def test_the_list_of_rules_begins_with_what_is_like_it(settings, written, first):
    """Each rule has one line, and the meanings stand under each other."""
    lines = [
        line for line in settings("--rule", f"{written}=deny").output.splitlines() if line.startswith("  ")
    ]
    assert lines[0].split()[0] == first
    assert {line.split()[0] for line in lines} == set(RULES)
    assert len({line.index(RULES[line.split()[0]].meaning) for line in lines}) == 1
