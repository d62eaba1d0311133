"""The cpuset commands: answers, pictures, and errors of one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.binding.builders import NOW, ledger, node_topology
from webhook.binding.grant import Claim, Grant, grant
from webhook.cli.cpuset import cpuset
from webhook.cpuset.cpulist import format_cpulist
from webhook.pods.resourcespec import read_resource_spec

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "cpuset"
PODS = ROOT / "examples" / "manifests" / "four-classes.yaml"
HUGE = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {koordinator.sh/qosClass: LSE}}\n"
    "spec: {containers: [{resources: {requests: {cpu: 99}}}]}\n"
)
DEPLOYMENT = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 2, template: {metadata: "
    "{labels: {koordinator.sh/qosClass: LSR}}, spec: {containers: [{resources: {requests: {cpu: 2}}}]}}}\n"
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
    assert result.exit_code == any("error" in answer for answer in answers)
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
    result = run("plan", *NODE, "--used", "900m", "-o", "json", str(PODS))
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
    result = run("plan", *NODE, "-", stdin="apiVersion: v1\nkind: Service\n---\n")
    assert "share pool: 0-15" in result.stdout


def planned(*manifests: str) -> tuple[dict[str, tuple[str, str]], str]:
    """Return QoS class and CPUs of each pod of a plan by its name, and what was said on standard error."""
    result = run("plan", *NODE, "-o", "json", "-", stdin="---\n".join(manifests))
    assert result.exit_code == 0, result.stderr
    return {p["name"]: (p["qos"], p["cpuset"]) for p in json.loads(result.stdout)["pods"]}, result.stderr


def test_plan_replicas() -> None:
    """A workload is placed with all its replicas, and a DaemonSet and a CronJob with one pod."""
    daemon = DEPLOYMENT.replace("Deployment", "DaemonSet").replace("name: d", "name: agent")
    cron = DEPLOYMENT.replace("apps/v1\nkind: Deployment", "batch/v1\nkind: CronJob").replace(
        "name: d", "name: cron"
    )
    cron = cron.replace("spec: {replicas: 2,", "spec: {jobTemplate: {spec: {").replace("}}}\n", "}}}}}\n")
    pods, _ = planned(DEPLOYMENT, daemon, cron)
    sets = {"d-0": ("LSR", "0,8"), "d-1": ("LSR", "1,9"), "agent": ("LSR", "2,10"), "cron": ("LSR", "3,11")}
    assert pods == sets


def test_plan_tells_pods_apart_by_namespace() -> None:
    """Two pods of one name in two namespaces are two pods; pods of two kinds may have one name."""
    pod = HUGE.replace("cpu: 99", "cpu: 2")
    shop, ads = (pod.replace("name: p", f"name: p, namespace: {name}") for name in ("shop", "ads"))
    pods, _ = planned(
        shop, ads, pod, DEPLOYMENT.replace("name: d", "name: p").replace("replicas: 2", "replicas: 0")
    )
    assert pods == {"shop/p": ("LSE", "0,8"), "ads/p": ("LSE", "1,9"), "p": ("LSE", "2,10")}
    assert "already" in run("plan", *NODE, "-", stdin=f"{shop}---\n{shop}").stderr


def test_plan_passes_over_what_runs_on_no_cpu() -> None:
    """Finished pods and objects that make no pods are named."""
    finished = HUGE + "status: {phase: Succeeded}\n"
    service = "kind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: s}}]\n"
    pods, said = planned(finished, service)
    assert pods == {}
    assert "Pod p has finished, ignored" in said
    assert "Service s creates no pods, ignored" in said
    assert planned("") == ({}, "no pods: the node is drawn as it is without any\n")


def existing(name: str, qos: str, cpus: int, *, node: str = "", cpuset: object = None) -> dict[str, Any]:
    """Return a pod as kubectl prints it; ``cpuset`` is what its annotation names."""
    annotations = {}
    if cpuset is not None:
        annotations["scheduling.koordinator.sh/resource-status"] = json.dumps({"cpuset": cpuset})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "d",
            "uid": name,
            "labels": {"koordinator.sh/qosClass": qos},
            "annotations": annotations,
        },
        "spec": {"containers": [{"resources": {"requests": {"cpu": str(cpus)}}}]}
        | ({"nodeName": node} if node else {}),
        "status": {"phase": "Running" if node else "Pending"},
    }


def listed(*pods: dict[str, Any]) -> str:
    """Return pods as ``kubectl get pods -o json`` prints them."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})


def test_plan_leaves_pods_where_they_are() -> None:
    """A pod that holds CPUs keeps them, whatever it requests and wherever it stands in the list."""
    new = existing("new", "LSE", 2)
    resized = existing("resized", "LSR", 4, node="node-1", cpuset="0,8")
    held = existing("held", "LSE", 2, node="node-1", cpuset="1,9")
    pods, _ = planned(listed(new, resized, held))
    assert pods == {"new": ("LSE", "2,10"), "resized": ("LSR", "0,8"), "held": ("LSE", "1,9")}


@given(st.lists(st.tuples(st.sampled_from(["LSE", "LSR", "LS"]), st.integers(1, 3)), max_size=5))
@settings(max_examples=30, deadline=None)
def test_plan_agrees_with_binding(drawn: list[tuple[str, int]]) -> None:
    """Pods get in a plan what /bind gives them one after another, on the node that is named."""
    pods = [existing(f"p{i}", qos, cpus, node="node-1") for i, (qos, cpus) in enumerate(drawn)]
    on = node_topology("1x1x8x2")
    book, bound = ledger(), {}
    for pod in pods:
        request = read_resource_spec(pod)
        if request is not None:
            name = pod["metadata"]["name"]
            got = grant(Claim(name, "d", name, request), on, book, now=NOW)
            assert isinstance(got, Grant)
            book, bound[name] = got.ledger, format_cpulist(got.entry.cpus)
    elsewhere = existing("elsewhere", "LSE", 99, node="node-2")
    result = run("plan", *NODE, "--node", "node-1", "-o", "json", "-", stdin=listed(elsewhere, *pods))
    if result.exit_code:
        assert "share pool" in result.stderr  # a plan knows what LS pods request, too
        return
    found = {pod["name"]: pod["cpuset"] for pod in json.loads(result.stdout)["pods"]}
    assert {name: found[name] for name in bound} == bound
    assert set(found) == {pod["metadata"]["name"] for pod in pods}
    assert "1 pods of other nodes, ignored" in result.stderr


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        ([("a", "0"), ("b", "1")], "the pods are bound to 2 nodes (a, b): name one with --node"),
        ([("a", "0"), ("b", "1"), ("c", "2"), ("d", "3")], "bound to 4 nodes (a, b, c, …)"),
        ([("a", "0,99")], "its annotation names CPUs 99, which the machine does not have: give the topology"),
        ([("a", "x")], "Pod p0: annotation scheduling.koordinator.sh/resource-status"),
        ([("a", 3)], "Pod p0: annotation scheduling.koordinator.sh/resource-status"),
    ],
)
def test_plan_of_pods_that_are_somewhere(pods: list[tuple[str, object]], message: str) -> None:
    """Pods of several nodes, and sets that cannot be, are named in one line."""
    text = listed(*(existing(f"p{i}", "LSR", 1, node=n, cpuset=c) for i, (n, c) in enumerate(pods)))
    result = run("plan", *NODE, "-", stdin=text)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_plan_puts_pods_without_a_set_on_a_pool() -> None:
    """A LSR pod without a CPU request, or of batch priority by label or PriorityClass, has no set."""
    idle = HUGE.replace("requests: {cpu: 99}", "").replace("LSE", "LSR")
    small = HUGE.replace("cpu: 99", "cpu: 2").replace("LSE", "LSR")
    label = small.replace("LSR", "LSR, koordinator.sh/priority-class: koord-batch").replace(
        "name: p", "name: b"
    )
    named = small.replace("spec: {", "spec: {priorityClassName: koord-batch, ").replace("name: p", "name: c")
    pods, _ = planned(idle, label, named)
    assert pods == dict.fromkeys(("p", "b", "c"), ("LSR", "0-15"))


@pytest.mark.parametrize(
    ("args", "pods", "message"),
    [
        (["--used", "much"], "", "--used: 'much' is not a quantity"),
        (["--used", "-1"], "", "--used: '-1' is negative"),
        (["--reserved", "9-2"], "", "--reserved '9-2': a range runs backwards"),
        (["--system", "99"], "", "--system 99: is not a CPU of this machine"),
        (["--kubelet-reserved", "99"], "", "--kubelet-reserved 99: is not a CPU of this machine"),
        (["--topology", "2x2"], "", "--topology '2x2': is not sockets x NUMA nodes x cores x threads"),
        (
            ["--topology", "0x1x2x2"],
            "",
            "--topology '0x1x2x2': sockets 0 is not a count",
        ),
        (
            ["--topology", "machine.json"],
            "",
            "'machine.json': no such file, and no shape; write for example",
        ),
        (["--threshold", "140"], "", "--threshold 140: "),
        ([], "a: [", "standard input:2:1: not YAML"),
        ([], "\x00", "standard input:1: holds a NUL byte"),
        ([], "3", "standard input:1: not a Kubernetes object"),
        ([], "2020-99-99", "standard input:1: not a Kubernetes object"),
        (
            [],
            "&a {kind: List, items: [*a]}",
            "standard input:1:25: not YAML: nested deeper than 200 levels, or in itself",
        ),
        ([], HUGE.replace("cpu: 99", "cpu: 1500m"), "Pod p: cpu 1500m is no whole number of CPUs"),
        ([], HUGE.replace("cpu: 99", "cpu: x"), "Pod p: spec.containers[0].resources.requests[cpu]: 'x'"),
        ([], HUGE.replace("{name: p,", "{name: p, annotations: {a: 1},"), "Pod p: metadata.annotations[a]"),
        ([], HUGE + "---\n" + HUGE.replace("99", "1"), "numCPUs 99"),
        ([], DEPLOYMENT.replace("replicas: 2", "replicas: -1"), "Deployment d: spec.replicas: -1"),
        ([], DEPLOYMENT.replace("replicas: 2", "replicas: 8193"), "8193 pods there are more than 8192"),
        ([], HUGE, "Pod p: numCPUs 99: not enough CPUs"),
    ],
)
def test_plan_errors(args: list[str], pods: str, message: str) -> None:
    """What is wrong is said in one line; the exit status is 2 where it is an option, 1 for the input."""
    result = run("plan", *NODE, *args, "-", stdin=pods)
    assert result.exit_code == (2 if args else 1)
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
    assert run("show", "--topology", "1x1x1x1").stdout.startswith("1 CPU, 1 core, 1 NUMA node, 1 socket\n")
    path = tmp_path / "machine.json"
    for data in (
        {"cpus": [{"cpu": 0, "core": 0, "node": 0, "socket": 0}]},
        {"detail": [{"id": 0, "core": 0, "node": 0, "socket": 0}]},
        [{"cpu": 0, "core": 0, "node": 0, "socket": 0}],
    ):
        path.write_text(json.dumps(data), encoding="utf-8")
        assert "1 CPU, 1 core, " in run("show", "--topology", str(path)).stdout
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


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_is_shown_can_be_read_again(tmp_path: Path, form: str) -> None:
    """The CPUs of a machine for machines are what --topology takes; a plan is the same in both forms."""
    path = tmp_path / "machine.json"
    shown = yaml.safe_load(run("show", "--topology", "2x1x2x2", "-o", form).stdout)
    assert shown[0] == {"cpu": 0, "core": 0, "node": 0, "socket": 0}
    path.write_text(json.dumps(shown))
    again = yaml.safe_load(run("show", "--topology", str(path), "-o", form).stdout)
    assert again == shown
    plan = run("plan", *NODE, "-o", form, str(PODS)).stdout
    assert yaml.safe_load(plan)["pods"][0]["cpuset"]


@pytest.mark.parametrize("bad", ["{", "[]", "{}", '{"topology": null}', '{"topology": {"sockets": 0}}'])
def test_allocate_fails_for_a_bad_line(bad: str) -> None:
    """It has its answer, and so have the others; the exit status says that there was one."""
    good = (DATA / "koordinator_take.jsonl").read_text(encoding="utf-8").splitlines()
    good = [line for line in good if run("allocate", stdin=line).exit_code == 0][:2]
    result = run("allocate", stdin="\n".join([good[0], bad, good[1]]))
    assert ["error" in json.loads(line) for line in result.stdout.splitlines()] == [False, True, False]
    assert result.exit_code == 1
    assert run("allocate", stdin="\n".join(good)).exit_code == 0
