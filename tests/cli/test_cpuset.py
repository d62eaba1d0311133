"""The cpuset commands: answers, pictures, and errors of one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from webhook.cli.cpuset import cpuset

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "cpuset"
PODS = ROOT / "examples" / "manifests" / "four-classes.yaml"
HUGE = (
    "kind: Pod\nmetadata: {name: p, labels: {koordinator.sh/qosClass: LSE}}\n"
    "spec: {containers: [{resources: {requests: {cpu: 99}}}]}\n"
)
NODE = ["--topology", "1x1x8x2", "--numbering", "linux"]


def run(*args: str, stdin: str | bytes = "") -> Result:
    """Run a command; anything but a clean exit is a failure of the test."""
    result = CliRunner().invoke(cpuset, args, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_allocate_recorded_problems() -> None:
    """Every recorded problem gets one line back, with a cpuset or an error."""
    text = (DATA / "koordinator_take.jsonl").read_text(encoding="utf-8")
    result = run("allocate", stdin=text)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert len(answers) == len(text.splitlines())
    assert all(set(answer) in ({"cpuset", "numaNodes"}, {"error"}) for answer in answers)
    assert any("cpuset" in answer for answer in answers)


def test_allocate_a_list_of_cpus() -> None:
    """A topology may be a list of CPUs."""
    cpus = [{"cpu": cpu, "core": cpu // 2, "node": 0, "socket": 0} for cpu in range(8)]
    result = run("allocate", stdin=json.dumps({"topology": cpus, "numCPUs": 4}))
    assert json.loads(result.stdout) == {"cpuset": "0-3", "numaNodes": [0]}


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "3", '{"numCPUs": 1}', "nonsense", "[" * 100_000, '{"topology": {}, "numCPUs": 1}', "\udcff"],
)
def test_allocate_malformed_lines(line: str) -> None:
    """A malformed line is answered with an error and the next one is read."""
    good = '{"topology": [{"cpu": 0, "core": 0, "node": 0, "socket": 0}], "numCPUs": 1}'
    result = run("allocate", stdin=f"{line}\n{good}\n".encode("utf-8", "surrogateescape"))
    first, second = map(json.loads, result.stdout.splitlines())
    assert set(first) == {"error"}
    assert second == {"cpuset": "0", "numaNodes": [0]}


def test_plan_walk_through() -> None:
    """LSE on 0-1, LSR on 2-3, LS on 4-15, BE on 10 CPUs of 2-15, as recorded."""
    result = run("plan", *NODE, "--used", "900m", "--json", str(PODS))
    found = json.loads(result.stdout)
    sets = {pod["name"]: pod["cpuset"] for pod in found["pods"]}
    assert sets["nginx-lse"] == "0-1"
    assert sets["nginx-lsr"] == "2-3"
    assert sets["nginx-ls"] == "4-15" == found["sharedPool"]
    assert found["bePool"] == "2-15"
    assert sets["nginx-be"] == found["be"] == "2,4-7,10,12-15"


def test_plan_picture() -> None:
    """The picture fits 80 columns and shows who runs where."""
    result = run("plan", *NODE, "--used", "900m", str(PODS))
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "thread 0   0E   1E   2R+  3R " in result.stdout
    assert "now 10 CPUs" in result.stdout


def test_plan_reads_stdin() -> None:
    """- is stdin; a file without pods is an empty node."""
    result = run("plan", *NODE, "-", stdin="kind: Service\n---\n")
    assert "share pool: 0-15" in result.stdout


@pytest.mark.parametrize(
    ("args", "pods", "message"),
    [
        (["--used", "much"], "", "--used 'much': is no CPU quantity"),
        (["--reserved", "9-2"], "", "--reserved '9-2': a range runs backwards"),
        (["--system", "99"], "", "system 99: is not a CPU of this machine"),
        (["--topology", "2x2"], "", "topology '2x2'"),
        (["--threshold", "140"], "", "threshold_percent 140"),
        ([], "a: [", "PODS: is not YAML"),
        ([], "\x00", "PODS: is not YAML"),
        ([], "3", "manifest 3"),
        ([], "2020-99-99", "PODS: is not YAML"),
        ([], HUGE, "numCPUs 99: not enough CPUs"),
    ],
)
def test_plan_errors(args: list[str], pods: str, message: str) -> None:
    """What is wrong is said in one line, with exit status 1."""
    result = run("plan", *NODE, *args, "-", stdin=pods)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_usage_errors() -> None:
    """Misuse of options is exit status 2."""
    for args in (["plan"], ["plan", "/nonexistent"], ["show", "--numbering", "x"], ["what"]):
        assert run(*args).exit_code == 2


def test_show(tmp_path: Path) -> None:
    """This machine, one by numbers, one from a file."""
    assert run("show").exit_code == 0
    assert "8 CPUs, 4 cores, 2 NUMA nodes, 2 sockets" in run("show", "--topology", "2x1x2x2").stdout
    path = tmp_path / "machine.json"
    for data in (
        {"cpus": [{"cpu": 0, "core": 0, "node": 0, "socket": 0}]},
        {"detail": [{"id": 0, "core": 0, "node": 0, "socket": 0}]},
        [{"cpu": 0, "core": 0, "node": 0, "socket": 0}],
    ):
        path.write_text(json.dumps(data), encoding="utf-8")
        assert "1 CPUs, 1 cores" in run("show", "--topology", str(path)).stdout
    for text in ("{", "3", "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        result = run("show", "--topology", str(path))
        assert result.exit_code == 1
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["allocate", "plan", "show"])
def test_help_has_examples(command: str) -> None:
    """Every command's help has examples."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
