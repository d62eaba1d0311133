"""``agent cpusets``: which CPUs pods run on, and whether they should."""

import json
from pathlib import Path

import pytest
import yaml

from tests.agent.plan.builders import raw_pod
from tests.agent.test_verification import SEED, SUPPRESSED, container_id, pods, slice_of, v2_systemd
from tests.agent.tree import v1_tree, write
from tests.kube.fakeapi import FakeApi


@pytest.fixture
def machine(tmp_path):
    """Seed 004's node, recorded, and its objects in a file."""
    made = pods()
    root = tmp_path / "root"
    v2_systemd(root, made, SEED)
    for cpu in range(16):
        topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
        write(root, {f"{topology}/physical_package_id": "0\n", f"{topology}/core_id": f"{cpu}\n"})
    write(root, {"sys/devices/system/cpu/online": "0-15\n"})
    slo = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": SUPPRESSED}
    objects = [*({"kind": "Pod", "apiVersion": "v1", **each} for each in made), slo]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all(objects))
    return tmp_path


def cpusets(run, machine, *flags):
    """Run it on the recorded machine."""
    return run("agent", "cpusets", "--root", machine / "root", "--pods", machine / "pods.yaml", *flags)


def widen(machine, name="ls", text="0-15"):
    """Give a container another set."""
    pod = next(each for each in pods() if each["metadata"]["name"] == name)
    scope = f"{slice_of(pod)}/cri-containerd-{container_id(name)}.scope"
    files = (f"{scope}/cpuset.cpus", f"{scope}/cpuset.cpus.effective")
    write(machine / "root/sys/fs/cgroup", dict.fromkeys(files, f"{text}\n"))


def test_a_table(run, machine):
    """Of all pods: what stands there, what the annotation says, and what should; aligned."""
    result = cpusets(run, machine)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "cgroup v2, driver systemd: 4 pods, 4 of them judged, none differs"
    rows = [line.split() for line in lines if line.startswith("  ✓")]
    assert rows == [
        ["✓", "main", "2,4-12", "-", "2-15", "or", "less", "be-pool,", "suppression"],
        ["✓", "main", "4-15", "-", "4-15", "share-pool"],
        ["✓", "main", "0-1", "0-1", "0-1", "own-cpus"],
        ["✓", "main", "2-3", "2-3", "2-3", "own-cpus"],
    ]
    column = lines[1].index("ANNOTATION")
    assert {line[column - 2 : column] for line in lines if line.startswith("  ✓")} == {"  "}
    assert f"      {machine}/root/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/" in result.output
    assert "shop/lse  LSE, Burstable" in lines
    document = (Path(__file__).parents[3] / "docs/agent.md").read_text()
    assert "\n".join(line for line in lines if not line.startswith("      /")) in document


def test_a_set_that_differs(run, machine):
    """Exit status 1, for all pods and for this one; 0 for another one."""
    widen(machine)
    result = cpusets(run, machine)
    assert result.exit_code == 1
    assert "4 of them judged, 1 differs" in result.output
    assert [line.split()[:5] for line in result.output.splitlines() if "✗" in line] == [
        ["✗", "main", "0-15", "-", "4-15"]
    ]
    assert cpusets(run, machine, "shop/ls").exit_code == 1
    assert cpusets(run, machine, "lse").exit_code == 0


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_same_for_machines(run, machine, form, load):
    """With the same exit status."""
    widen(machine, "be", "0-3")
    result = cpusets(run, machine, "-o", form)
    assert result.exit_code == 1
    found = {each["pod"]: each for each in load(result.output)["pods"]}
    assert {name: each["agrees"] for name, each in found.items()} == {
        "shop/be": False,
        "shop/ls": True,
        "shop/lse": True,
        "shop/lsr": True,
    }
    assert found["shop/be"]["containers"][0]["cpuset"] == "0-3"


def test_what_is_not_there(run, machine):
    """A pod that is none, a pod without a cgroup, cgroups without sets, and no pods at all: each is said."""
    result = cpusets(run, machine, "nobody")
    assert result.exit_code == 1
    assert "nobody: there is no such pod among the 4 of this node" in result.output
    (machine / "more.yaml").write_text(yaml.safe_dump({"kind": "Pod", **raw_pod("new", "LS")}))
    result = run("agent", "cpusets", "--root", machine / "root", "--pods", machine / "more.yaml")
    assert result.exit_code == 1
    assert "✗ it has no cgroup" in result.output
    result = run("agent", "cpusets", "--root", machine / "root")
    assert result.exit_code == 2
    said = result.output.replace("\n", " ")
    assert "give --node-name NAME for those of a cluster's node, or --pods FILE" in said
    v1_tree(machine / "old", "kubepods")
    for each in (machine / "old/sys/fs/cgroup/cpuset").iterdir():
        each.rmdir()
    (machine / "old/sys/fs/cgroup/cpuset").rmdir()
    (machine / "old/sys/devices").symlink_to(machine / "root/sys/devices")
    result = run("agent", "cpusets", "--root", machine / "old", "--pods", machine / "pods.yaml")
    assert result.exit_code == 1
    assert "have no controller cpuset" in result.output


def test_findings(run, machine):
    """An annotation that cannot be read is named, and its pod is on a pool."""
    text = (machine / "pods.yaml").read_text().replace('{"cpuset": "0-1"}', "{")
    (machine / "pods.yaml").write_text(text)
    result = cpusets(run, machine, "lse")
    assert result.exit_code == 1
    assert "  ! shop/lse: annotation scheduling.koordinator.sh/resource-status" in result.output


def test_pods_of_a_cluster(run, machine):
    """Only lists are asked for, since an agent's account may do no more; a kind may be missing."""
    kubeconfig = machine / "kubeconfig"
    with FakeApi() as api:
        server = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.port}"}}
        context = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}]}
        kubeconfig.write_text(json.dumps({"clusters": [server], **context}))
        flags = ("--root", machine / "root", "--kubeconfig", kubeconfig, "--node-name")
        for name in ("m", "n"):
            api.put("/api/v1/nodes", name, metadata={"uid": f"u-{name}"})
        for each in pods():
            spec = each["spec"] | {"nodeName": "n"}
            api.put(
                "/api/v1/pods",
                each["metadata"]["name"],
                "shop",
                metadata=each["metadata"],
                spec=spec,
                status=each["status"],
            )
        assert "--node-name o: there is no such node" in run("agent", "cpusets", *flags, "o").output
        result = run("agent", "cpusets", *flags, "n")
        assert (result.exit_code, "4 pods, 4 of them judged, 1 differs" in result.output) == (1, True)
        path = "/apis/slo.koordinator.sh/v1alpha1/nodeslos"
        api.put(path, "m", spec={})
        api.put(path, "n", spec=SUPPRESSED)
        assert run("agent", "cpusets", *flags, "n").exit_code == 0
        listed = {"/api/v1/nodes", "/api/v1/pods", path}
        assert {(method, called.partition("?")[0]) for method, called in api.requests} == {
            ("GET", each) for each in listed
        }


def test_pods_of_several_nodes(run, machine):
    """Those of another node are not judged here, nor do their sets count: the node has to be named."""
    here, far = raw_pod("here", "LS"), raw_pod("far", "LSE", cpus=2, set_="4-5")
    for pod, node in ((here, "n"), (far, "far")):
        pod["spec"]["nodeName"] = node
    documents = [{"kind": "Pod", "apiVersion": "v1", **each} for each in (here, far)]
    with (machine / "pods.yaml").open("a") as file:
        file.write("---\n" + yaml.safe_dump_all(documents))
    result = cpusets(run, machine)
    assert result.exit_code == 2
    assert "--pods has pods of far, n: give --node-name NAME" in result.output
    assert cpusets(run, machine, "--node-name", "n", "ls").exit_code == 0


def test_a_node_of_which_the_file_knows_nothing(run, machine):
    """Its plan would be empty, as if there were nothing to do."""
    pod = {"kind": "Pod", "apiVersion": "v1", **raw_pod("here", "LS")}
    pod["spec"]["nodeName"] = "n"
    (machine / "pods.yaml").write_text(yaml.safe_dump(pod))
    for command in (["cpusets"], ["--dry-run"]):
        result = run(
            "agent", *command, "--root", machine / "root", "--pods", machine / "pods.yaml", "--node-name", "o"
        )
        assert result.exit_code == 2
        assert "--node-name o: --pods has neither that Node nor a pod of it" in result.output
        assert "its pods are of n" in result.output


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({"resource-threshold-config": "{"}, 0, "ConfigMap ns/c: resource-threshold-config: is not JSON"),
        ({"resource-threshold-config": 5}, 0, "ConfigMap ns/c: resource-threshold-config: is not JSON"),
        (["a"], 2, "ConfigMap ns/c: data: must be an object: correct it"),
        (None, 0, "ConfigMap ns/c: there is none, so --node-slo holds"),
    ],
)
def test_what_of_the_configmap_cannot_be_read(run, machine, data, status, said):
    """The plan is made without it, and says so."""
    objects = [{"kind": "Pod", "apiVersion": "v1", **each} for each in pods()]
    if data is not None:
        metadata = {"namespace": "ns", "name": "c"}
        objects.append({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data})
    (machine / "pods.yaml").write_text(yaml.safe_dump_all(objects))
    flags = ("--root", machine / "root", "--pods", machine / "pods.yaml", "--config", "ns/c")
    result = run("agent", "--dry-run", *flags)
    assert (result.exit_code, said in result.output) == (status, True), result.output


def test_a_pod_that_waits_to_start_again(run, machine):
    """It runs nowhere, so that nothing is said of it; one that runs and has no cgroup differs."""
    pod = {"kind": "Pod", "apiVersion": "v1", **raw_pod("crash", "LS", uid="u-crash")}
    for state, status in (({"waiting": {"reason": "CrashLoopBackOff"}}, 0), ({"running": {}}, 1)):
        pod["status"] |= {"phase": "Running", "containerStatuses": [{"name": "main", "state": state}]}
        with (machine / "pods.yaml").open("a") as file:
            file.write("---\n" + yaml.safe_dump(pod))
        assert cpusets(run, machine, "crash").exit_code == status


def test_what_of_node_and_nodeslo_cannot_be_read(run, machine):
    """It says why something else should stand than was meant."""
    node = {
        "kind": "Node",
        "metadata": {"name": "n", "annotations": {"node.koordinator.sh/reservation": "x"}},
    }
    slo = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": {"cpuBurstStrategy": {"policy": "x"}}}
    with (machine / "pods.yaml").open("a") as file:
        file.write("---\n" + yaml.safe_dump_all([node, slo]))
    output = cpusets(run, machine).output
    assert "annotation node.koordinator.sh/reservation: 'x' cannot be read" in output
    assert "NodeSLO: cpuBurstStrategy.policy: 'x' is unknown" in output


def test_nothing_to_judge(run, machine):
    """An empty file, as of a kubectl that failed, is no success."""
    (machine / "pods.yaml").write_text("")
    result = cpusets(run, machine)
    assert result.exit_code == 1
    assert "nothing to judge" in result.output


def test_a_pod_of_the_wrong_shape(run, machine):
    """It is named, with the field."""
    for text, said in (
        ("metadata: {name: x}\nspec: s", "spec: 's': write an object"),
        ("metadata: {name: x, uid: 7}", "metadata.uid: 7: write a text, in quotes"),
        ("metadata: {name: x}\nspec: {containers: {}}", "spec.containers: must be a list, not {}"),
    ):
        (machine / "pods.yaml").write_text(f"kind: Pod\n{text}\n")
        assert f"--pods: pod x: {said}" in cpusets(run, machine).output


def test_options_before_the_subcommand(run, machine):
    """They would not be heeded: that another machine is looked at, for example."""
    result = run("agent", "--root", machine / "root", "cpusets", "--pods", machine / "pods.yaml")
    assert result.exit_code == 2
    assert "--root belongs behind cpusets" in result.output
