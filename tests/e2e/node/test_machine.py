"""The machine is as it was, however a node ends; and what is otherwise is seen."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.remains import MARK, Machine

CPU = Path("/sys/fs/cgroup/cpu")
NEEDS = "tests.e2e.node.machine.needs"
A_NODE = """
import sys
from pathlib import Path
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.node.machine.node import Node

folder, binary, kubeconfig, cache = map(Path, sys.argv[1:])
with Node(folder, Kubectl(binary, kubeconfig), cache, name="other"):
    print("Ready", flush=True)
    sys.stdin.read()
    raise RuntimeError("in the middle of a test")
"""
CHANGES = """
import subprocess, sys
from pathlib import Path
from tests.e2e.node.machine.remains import Machine

def sh(command):
    subprocess.run(["sh", "-euc", command], check=True)

sh("mount -t tmpfs tmpfs /var/lib; mount -t tmpfs tmpfs /mnt; mkdir /mnt/place")
before = Machine()
child = subprocess.Popen(["sleep", "60"])
stray = subprocess.Popen(["setsid", "--fork", "unshare", "--uts", "sleep", "60"], env={"PATH": "/usr/bin"})
stray.wait()
sh("mkdir /var/lib/kubelet; mount -t tmpfs none /mnt/place; echo 1 > /proc/sys/net/ipv4/ip_forward")
cgroup = Path("/sys/fs/cgroup/pids", sys.argv[1])
cgroup.mkdir()
try:
    print(*before.differences(Machine(), "MARK=1"), sep="\\n")
finally:
    cgroup.rmdir()
    child.kill()
"""


def start(program, *arguments, **environment):
    """Start a Python program that may use what is in tests/."""
    return subprocess.Popen(  # noqa: S603 — our own program
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_is_otherwise_is_seen():
    """Each kind of thing that can be left, made in mounts, network and process ids that go with this test."""
    name = f"colocation-test-{secrets.token_hex(4)}"
    apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    done = subprocess.run(  # noqa: S603 — our own program
        [*apart, sys.executable, "-c", CHANGES, name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    patterns = [
        r"mount \d+ .* /mnt/place .* is new",
        rf"cgroup /sys/fs/cgroup/pids/{name} is new",
        r"parameter /proc/sys/net/ipv4/ip_forward was '0', is '1'",
        r"file /var/lib/kubelet is new",
        r"process \d+: sleep 60  is new",
        r"process \d+: sleep 60  is new",
    ]
    said = [each for each in done.stdout.splitlines() if "/proc/sys/net/ipv4/conf/" not in each]
    assert len(said) == len(patterns), done.stdout
    for pattern, line in zip(patterns, said, strict=True):
        assert re.fullmatch(pattern, line)


def test_what_another_run_does_meanwhile_is_its_own():
    """Its processes in their namespaces, and its cgroups, the empty ones too; for itself both are left."""
    before, mark = Machine(), f"{MARK}={secrets.token_hex(8)}"
    tree = Path("/sys/fs/cgroup/pids", f"colocation-test-{secrets.token_hex(4)}")
    does = f"mkdir -p {tree}/full {tree}/empty; echo $$ > {tree}/full/cgroup.procs; exec sleep 60"
    name, value = mark.split("=")
    stray = ["setsid", "--fork", "unshare", "--uts", "sh", "-euc", does]
    subprocess.run(stray, env={"PATH": os.environ["PATH"], name: value}, check=True)  # noqa: S603 — our own program
    found = f"{tree}/full/cgroup.procs"
    (pid,) = eventually(lambda: Path(found).read_text().split(), what=found)
    try:
        said = before.differences(Machine(), mark)
        assert {f"cgroup {each} is new" for each in (tree, tree / "empty", tree / "full")} <= set(said)
        assert [each for each in said if each.startswith(f"process {pid}: ")]
        of_others = before.differences(Machine(), f"{MARK}=1")
        assert not [each for each in of_others if str(tree) in each or f"process {pid}: " in each]
    finally:
        os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: not Path(found).read_text().split(), what="the end of the other run")
        for each in (tree / "full", tree / "empty", tree):
            each.rmdir()


def test_pods_of_a_node_that_is_at_work_come_and_go():
    """What an earlier test ended is gone a moment later; all else in the node's tree is seen."""
    tree = Path("/sys/fs/cgroup/pids", f"colocation-test-{secrets.token_hex(4)}")
    ends, begins, other = tree / "kubepods/pod-a", tree / "kubepods/pod-b", tree / "other"
    ends.mkdir(parents=True)
    before = Machine()
    try:
        ends.rmdir()
        begins.mkdir()
        other.mkdir()
        said = before.differences(Machine(), f"{MARK}=1")
        assert [each for each in said if str(tree) in each] == [f"cgroup {other} is new"]
    finally:
        for each in (ends, begins, other, tree / "kubepods", tree):
            if each.exists():
                each.rmdir()


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        ("true", []),
        (
            "mkdir bin; ln -s /usr/bin/* bin; rm bin/containerd; export PATH=$PWD/bin",
            ["the Debian package containerd"],
        ),
        (
            "umount /sys/fs/cgroup/freezer",
            ["cgroup v1: no hierarchy of freezer in .*"],
        ),
        (
            "mount -o remount,bind,ro /sys/fs/cgroup/pids",
            ["namespaces and cgroups of its own: mkdir: .*: Read-only file system"],
        ),
        (
            "mkdir low up work; mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work both",
            ["overlayfs in .*/both: mount: .*"],
        ),
    ],
    ids=["nothing", "a program", "a hierarchy", "a hierarchy to write to", "a file system for layers"],
)
def test_what_a_machine_lacks_is_said(pieces, tmp_path, otherwise, said):
    """Each in one line, on a machine that lacks it; the trial itself leaves nothing there."""
    del pieces
    before = Machine()
    (tmp_path / "both").mkdir()
    command = (
        f"cd {tmp_path}; {otherwise}; export TMPDIR={tmp_path}/both; cd {ROOT}; {sys.executable} -m {NEEDS}"
    )
    done = subprocess.run(  # noqa: S603 — our own program
        ["/usr/bin/unshare", "--mount", "/bin/sh", "-euc", command],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    patterns = [f"a real node lacks here: {each}" for each in said] or ["a real node lacks nothing here"]
    assert len(lines) == len(patterns), done.stdout + done.stderr
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, line)
    before.assert_as_before("MARK=1")


@pytest.mark.parametrize("end", ["exception", "SIGKILL"])
def test_a_node_leaves_nothing_when_its_test_ends_early(node, cache, tmp_path, end):
    """Neither by an exception nor when nobody is left who could clean up. Two nodes do not meet."""
    before, mark = Machine(), secrets.token_hex(8)
    kubectl = node.kubectl
    arguments = [tmp_path, kubectl.binary, kubectl.kubeconfig, cache]
    with start(A_NODE, *arguments, **{MARK: mark}) as program:
        assert program.stdout.readline() == "Ready\n", program.communicate()[1]
        assert before.differences(Machine(), f"{MARK}={mark}")
        if end == "SIGKILL":
            program.kill()
        said = program.communicate(timeout=60)[1]
    assert ("in the middle of a test" in said) == (end == "exception")
    before.assert_as_before(f"{MARK}={mark}")
    kubectl.delete("node", "other")


def test_a_run_that_is_terminated_leaves_nothing(tmp_path):
    """SIGTERM in the middle of a run of these tests: control plane and node are ended."""
    before = Machine()
    known = set(CPU.iterdir())
    test = "tests/e2e/node/test_node.py::test_the_node_says_what_it_is"
    command = [sys.executable, "-m", "pytest", "-q", f"--basetemp={tmp_path / 'run'}", test]
    mark = secrets.token_hex(8)
    environment = {**os.environ, "RUN": mark}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as run:  # noqa: S603 — our own tests

        def kubelet_works():
            assert run.poll() is None, run.communicate()[0]
            return [
                each
                for each in set(Path("/sys/fs/cgroup/cpu").iterdir()) - known
                if (each / "kubepods").exists()
            ]

        eventually(kubelet_works, seconds=120, what="the cgroup of all pods")
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=120)[0]
    assert "KeyboardInterrupt" in said
    assert "not as it was" not in said
    before.assert_as_before(f"RUN={mark}")
