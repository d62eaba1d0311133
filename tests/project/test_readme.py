"""The README says what is so: its commands, its answer, its flags."""

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.builders import after
from webhook.admission.decision import Decision, decide
from webhook.admission.review import Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.cli.main import main
from webhook.cli.options.objects import load_view
from webhook.protocol import ANNOTATION_PROFILES_SIGNATURE, QOS_CLASSES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DRIVER = (ROOT / "examples" / "reviews" / "spark-driver.json").read_bytes()


@pytest.fixture(scope="module")
def decision() -> Decision:
    """The decision on the driver of a SparkApplication, by the examples' profiles."""
    return decide(Webhook.MUTATE, parse_review(DRIVER), load_view(ROOT / "examples" / "objects"), Settings())


def holds(whole: Any, part: Any) -> bool:
    """Whether all that a part says is in the whole: maps may have more entries, nothing else may differ."""
    if isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


def section(heading: str) -> str:
    """A section of the README with all its subsections; an AssertionError if there is none."""
    text = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert text, heading
    return text


def test_the_pod_of_the_first_screen(decision: Decision) -> None:
    """The pod before and after is a part of the Spark driver as it came and as the webhook changes it."""
    block = re.search(r"```diff\n(.*?)```", README, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    assert {line[0] for line in lines} == {" ", "+", "-"}
    before, changed = (
        yaml.safe_load("\n".join(line[1:] for line in lines if line[0] in marks)) for marks in (" -", " +")
    )
    pod = json.loads(DRIVER)["request"]["object"]
    assert holds(pod, before)
    assert not holds(pod, changed)
    assert holds(after(decision, pod), changed)
    requests = after(decision, pod)["spec"]["containers"][0]["resources"]["requests"]
    assert changed["spec"]["containers"][0]["resources"]["requests"] == requests


def test_the_qos_classes_are_spelled_out() -> None:
    """Each class that users choose has its line before the first section; SYSTEM is the node's own."""
    first = README.partition("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z]+) \| [^|]+ \| [^|]+ \|$", first, re.MULTILINE)
    assert sorted(rows) == sorted(QOS_CLASSES - {"SYSTEM"})


def test_the_installation_ends_with_the_doctor() -> None:
    """The last command of "Install" is ``doctor``, with flags that it has."""
    command = re.findall(r"^```sh\n(.*?)^```", section("Install"), re.MULTILINE | re.DOTALL)[-1].split()
    assert command[:2] == ["colocation-webhook", "doctor"]
    help_text = CliRunner().invoke(main, ["doctor", "--help"]).output
    assert all(word in help_text for word in command if word.startswith("--"))


def test_the_differences_are_counted_as_they_are_listed() -> None:
    """The README has each count of the list of differences, by its name there, and the list's totals."""
    listed = (ROOT / "tests" / "data" / "parity_differences.txt").read_text()
    counts = re.findall(r"^# +(\d+) by ([^ ]+?):? ", listed, re.MULTILINE)
    text = section("Different from Koordinator, on purpose")
    assert counts
    assert sorted(re.findall(r"\| (\d+) by (\S+) \|$", text, re.MULTILINE)) == sorted(counts)
    (mutate,) = re.findall(r"^# mutate: (\d+) cases", listed, re.MULTILINE)
    (validate,) = re.findall(r"^# validate: (\d+) cases", listed, re.MULTILINE)
    (differences,) = re.findall(r"^# differences: (\d+), unexplained: 0$", listed, re.MULTILINE)
    words = " ".join(text.split())
    for figure, of_what in ((mutate, "recorded patches"), (validate, "recorded validations")):
        assert f"{int(figure):,} {of_what}" in words
    assert f"except for {int(differences):,}, which" in words


def test_the_patch_is_the_real_one(decision: Decision) -> None:
    """The block under "Try it" is the patch for the Spark driver, but for the signature."""
    patch = decision.patch()
    for operation in patch:
        if operation["path"] == "/metadata/annotations":
            operation["value"][ANNOTATION_PROFILES_SIGNATURE] = "…"
    block = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert [json.loads(line) for line in block[1].splitlines()] == patch


def test_commands_are_those_there_are() -> None:
    """Every command of the table exists, and every command is in the table."""
    table = section("Commands")
    listed = re.findall(r"^\| `([a-z]+)", table, re.MULTILINE)
    assert sorted(listed) == sorted(main.list_commands(None))  # type: ignore[arg-type]


def test_flags_exist() -> None:
    """Every flag that is named is one of ``serve``."""
    help_text = CliRunner().invoke(main, ["serve", "--help"]).output
    for flag in re.findall(r"`(--[a-z-]+)", section("Serving")):
        assert flag in help_text, flag


def anchors(text: str) -> set[str]:
    """The names by which links reach the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
    """Every relative link is a file of the project, and what follows a ``#`` is a heading of it."""
    document = ROOT / place
    for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text()):
        target = document.parent / name if name else document
        assert target.exists(), name
        assert not heading or heading in anchors(target.read_text()), f"{name}#{heading}"


def test_the_plan_is_the_real_one() -> None:
    """The CPU map under "CPU sets" is what the command before it prints."""
    _, command, _, picture, _ = section("CPU sets").partition("\n### ")[0].split("```")
    arguments = [word.replace("examples/", f"{ROOT}/examples/") for word in command.split()[1:]]
    printed = CliRunner().invoke(main, arguments).output
    assert picture.strip() == printed.strip()


@pytest.mark.parametrize(
    "place",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "certs/README.md",
        "charts/colocation-webhook/README.md",
        "examples/README.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)
def test_prose_has_lines_of_120_characters(place: str) -> None:
    """No line is longer but in tables and blocks of code, which cannot be wrapped."""
    prose = re.sub(r"^ *```.*?^ *```$", "", (ROOT / place).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_the_job_is_submitted_by_one_command() -> None:
    """One option a line, for the shell one command: no option is lost at the end of a line."""
    block = next(each for each in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "spark-submit" in each)
    stubs = (
        'kubectl() { echo "${*: -1}"; }; spark-submit() { printf "%s\\n" "$@"; exit; }; SPARK_IMAGE=image\n'
    )
    script = stubs + block
    done = subprocess.run(["/bin/bash", "-euc", script], capture_output=True, text=True, check=True)  # noqa: S603
    arguments = done.stdout.splitlines()
    assert arguments[:2] == ["--master", "k8s://jsonpath={.clusters[0].cluster.server}"]
    assert arguments[-2:] == ["local:///opt/spark/examples/src/main/python/pi.py", "4"]
    assert arguments.count("--conf") == block.count("--conf")
    settings = [value for flag, value in itertools.pairwise(arguments) if flag == "--conf"]
    assert all(re.fullmatch(r"spark\.[A-Za-z.]+=\S+", setting) for setting in settings)


@pytest.mark.parametrize(
    "place",
    [
        "README.md",
        "certs/README.md",
        *(
            str(path.relative_to(ROOT))
            for path in sorted((ROOT / "docs").glob("*.md"))
            if "```sh\n" in path.read_text()
        ),
    ],
)
def test_the_commands_are_a_shells(place: str) -> None:
    """Bash reads each block; no line ends with a space after a backslash, or is wider than 120 characters."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / place).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert not re.search(r"\\[ \t]+$", block, re.MULTILINE)
        assert [line for line in block.splitlines() if len(line) > 120] == []
        subprocess.run(["/bin/bash", "-n", "-c", block], check=True)  # noqa: S603 — only read


def test_examples_are_all_listed() -> None:
    """Each folder of examples has its row."""
    folder = ROOT / "examples"
    listed = re.findall(r"^\| `([a-z-]+)/` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_nothing_is_left_to_fill_in() -> None:
    """No placeholder is left where a figure belongs."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.DOTALL)
    assert not re.findall(r"^[A-Z]+_[A-Z_]+$", prose, re.MULTILINE)
