"""The README says what is so: its commands, its answer, its flags."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from webhook.admission import Settings, Webhook, decide, parse_review
from webhook.cli.main import main
from webhook.cli.options.objects import load_view
from webhook.protocol import ANNOTATION_PROFILES_SIGNATURE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_patch_is_the_real_one() -> None:
    """The block under "Try it" is the patch for the Spark driver, but for the signature."""
    body = (ROOT / "examples" / "reviews" / "spark-driver.json").read_bytes()
    decision = decide(
        Webhook.MUTATE, parse_review(body), load_view(ROOT / "examples" / "objects"), Settings()
    )
    patch = decision.patch()
    for operation in patch:
        if operation["path"] == "/metadata/annotations":
            operation["value"][ANNOTATION_PROFILES_SIGNATURE] = "…"
    block = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert [json.loads(line) for line in block[1].splitlines()] == patch


def test_commands_are_those_there_are() -> None:
    """Every command of the table exists, and every command is in the table."""
    table = README.partition("## Commands")[2].partition("## ")[0]
    listed = re.findall(r"^\| `([a-z]+)", table, re.MULTILINE)
    assert sorted(listed) == sorted(main.list_commands(None))  # type: ignore[arg-type]


def test_flags_exist() -> None:
    """Every flag that is named is one of ``serve``."""
    help_text = CliRunner().invoke(main, ["serve", "--help"]).output
    section = README.partition("## Serving")[2].partition("## Different")[0]
    for flag in re.findall(r"`(--[a-z-]+)", section):
        assert flag in help_text, flag


@pytest.mark.parametrize(
    "place",
    [
        "README.md",
        "CONTRIBUTING.md",
        "certs/README.md",
        "charts/colocation-webhook/README.md",
        "tests/e2e/README.md",
        "tests/image/README.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)
def test_links_lead_somewhere(place) -> None:
    """Every relative link is a file of the project."""
    document = ROOT / place
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_plan_is_the_real_one() -> None:
    """The CPU map under "CPU sets" is what the command before it prints."""
    section = README.partition("## CPU sets")[2].partition("## ")[0]
    _, command, _, picture, _ = section.split("```")
    arguments = [word.replace("examples/", f"{ROOT}/examples/") for word in command.split()[1:]]
    printed = CliRunner().invoke(main, arguments).output
    assert picture.strip() == printed.strip()


def test_nothing_is_left_to_fill_in() -> None:
    """No placeholder is left where a figure belongs."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.DOTALL)
    assert not re.findall(r"^[A-Z]+_[A-Z_]+$", prose, re.MULTILINE)
