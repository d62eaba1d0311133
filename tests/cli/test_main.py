"""The group: help, version, names of commands, and how it behaves as a process."""

import itertools
import re
import shlex
import signal
import subprocess
import sys

import click
import pytest

from tests.cli.conftest import ROOT
from webhook.cli.main import COMMANDS, main

PROGRAM = [sys.executable, "-c", "from webhook.cli.main import main; main(prog_name='colocation-webhook')"]


def test_help_imports_no_command():
    """It stays fast however much the commands need."""
    code = (
        "import sys; from webhook.cli.main import main; main(['--help'], standalone_mode=False);"
        "sys.exit(any(m.startswith(('webhook.admission', 'flask', 'yaml', 'webhook.cli.review'))"
        " for m in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 — our own code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "Examples:" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_command_and_helps_with_examples(run, name):
    """``-h`` too; a group shows its commands instead."""
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    for flag in ("-h", "--help"):
        shown = run(name, flag)
        assert shown.exit_code == 0
        assert "Examples:" in shown.output or isinstance(command, click.Group)


def test_a_wrong_name_is_answered_with_the_nearest(run):
    """Exit status 2, as for all wrong use."""
    result = run("reviw")
    assert result.exit_code == 2
    assert "did you mean 'review'?" in result.output
    assert "the commands are" in run("xyz").output


def test_version(run):
    """One line, installed or not."""
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("colocation-webhook ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run, shell):
    """It names the program and its variable."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_COLOCATION_WEBHOOK_COMPLETE" in result.output


def test_completion_completes():
    """Commands, and names of rules after --rule."""
    base = click.Context(main)
    assert "preview" in [item.value for item in main.shell_complete(base, "pre")]
    rule = next(p for p in main.get_command(base, "review").params if p.name == "rule")
    assert [i.value for i in rule.shell_complete(base, "whole")] == ["whole-cpus="]
    assert "whole-cpus=warn" in [i.value for i in rule.shell_complete(base, "whole-cpus=w")]


def test_a_closed_pipe_gives_no_traceback():
    """``colocation-webhook review … | head -1``."""
    command = [*PROGRAM, "review", "--objects", "examples/objects"]
    with subprocess.Popen(  # noqa: S603 — our own code
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"x\n" * 3)
        process.stdin.close()
        assert b"Traceback" not in process.stderr.read()


def test_an_interrupt_gives_no_traceback():
    """Ctrl-C while waiting for input."""
    command = [*PROGRAM, "review", "--objects", "examples/objects"]
    # Where the tests run in the background, interrupts are ignored, and a child inherits that.
    inherited = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with subprocess.Popen(  # noqa: S603 — our own code
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            signal.signal(signal.SIGINT, inherited)
            process.stdin.write(b"x\n")
            process.stdin.flush()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert b"Traceback" not in process.stderr.read()
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert process.returncode == 1


def every_command(group=main, path=()):
    """Yield the words of each command that is no group, and the words of each group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield (*path, name), command
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


COMMAND_LINES = dict(every_command())
LEAVES = [path for path, command in COMMAND_LINES.items() if not isinstance(command, click.Group)]
GROUPS = [(), *(path for path in COMMAND_LINES if path not in LEAVES)]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_example_is_one_line_that_can_be_copied(run, path):
    """A shell reads it whole, it calls this command, and its flags are the command's."""
    shown = run(*path, "--help").output
    examples = re.split(r"\n\s*Examples:\n", shown)[1].split("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        assert len(example) <= 100
        words = shlex.split(example, comments=True)
        assert "colocation-webhook" in example
        if path != ("completion",):  # whose examples stand in <(...)
            at = words.index("colocation-webhook") + 1
            assert tuple(words[at : at + len(path)]) == path, example
            rest = itertools.takewhile(lambda word: word not in {"|", ">", "<"}, words[at:])
            known = {
                flag for each in COMMAND_LINES[path].params for flag in (*each.opts, *each.secondary_opts)
            }
            assert {word for word in rest if word.startswith("-") and word != "-"} <= known


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_summaries_are_whole(run, path):
    """No line of a group's list of commands is cut."""
    listed = run(*path, "--help").output.partition("Commands:\n")[2]
    lines = [line for line in listed.splitlines() if line.startswith("  ")]
    assert lines
    assert not [line for line in lines if line.endswith(("...", "…"))]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_one_flag_says_the_form_of_the_output(path):
    """Wherever there is a choice it is -o text|json|yaml; whoever reads a cluster does not "watch" it."""
    options = {flag: option for option in COMMAND_LINES[path].params for flag in option.opts}
    assert "--json" not in options
    if "--output" in options:
        assert "-o" in options["--output"].opts
        assert list(options["--output"].type.choices) == ["text", "json", "yaml"]
    if "--kubeconfig" in options:
        verb = "Watch" if path == ("serve",) else "Read"
        assert options["--kubeconfig"].help.startswith(f"{verb} the cluster")
        assert options["--in-cluster"].help.startswith(f"{verb} the cluster")
