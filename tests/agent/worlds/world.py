"""A node for tests: a kernel, pods with cgroups in it, an agent that reconciles them, and time."""

import datetime as dt
import hashlib

from tests.agent.plan.builders import a_node, batch, raw_pod
from tests.agent.worlds.kernel import FakeKernel
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.plan.settings import Settings
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import ActionLedger, read_lines
from webhook.agent.writing.reconciler import Reconciler
from webhook.pods.pod import kubelet_uid
from webhook.pods.qosclass import kube_qos

KINDS = [(1, "cgroupfs"), (1, "systemd"), (2, "cgroupfs"), (2, "systemd")]
"""Version and driver of cgroups: a kernel of each."""


class World:
    """Pods that run, in a kernel and for the agent."""

    def __init__(self, root, version=1, driver="cgroupfs", *, enforce=True, node=None, kernel=None):
        self.root, self.files = root, kernel and KernelFiles()
        self.kernel = kernel or FakeKernel(root / "host", version, driver)
        self.node, self.settings = node or a_node(), Settings()
        self.pods, self.time, self.enforce = {}, 1000.0, enforce
        self.start()

    @property
    def hierarchy(self):
        """Where its cgroups are."""
        return self.kernel.hierarchy

    def start(self):
        """Start the agent; its ledger is where it was."""
        self.ledger = ActionLedger(
            self.root / "ledger", boot="one", identity=(self.files or self.kernel).identity
        )
        self.agent = Reconciler(
            self.hierarchy,
            self.files or self.kernel,
            self.ledger,
            enforce=self.enforce,
            clock=lambda: self.time,
            now=lambda: dt.datetime.fromtimestamp(self.time, dt.UTC),
        )

    def restart(self):
        """End the agent and start it again."""
        self.ledger.close()
        self.start()

    def add(self, name, qos="", *, sandbox=True, **fields):
        """A pod starts: its groups are made as kubelet and runtime make them."""
        raw = raw_pod(name, qos, **fields)
        group = self.kernel.make(self.hierarchy.pod(kube_qos(raw), kubelet_uid(raw)))
        for status in raw["status"]["containerStatuses"]:
            number = hashlib.sha256(f"{name}/{status['name']}".encode()).hexdigest()
            status["containerID"] = f"containerd://{number}"
            self.kernel.make(self.container(group, number))
        if sandbox:
            self.kernel.make(self.container(group, hashlib.sha256(f"{name}/".encode()).hexdigest()))
        self.pods[name] = raw
        return group

    def container(self, group, number):
        """The group of a container, as the runtime names it."""
        systemd = self.hierarchy.driver == "systemd"
        return f"{group}/cri-containerd-{number}.scope" if systemd else f"{group}/{number}"

    def end(self, name):
        """A pod ends and its groups are removed."""
        raw = self.pods.pop(name)
        self.kernel.remove(self.hierarchy.pod(kube_qos(raw), kubelet_uid(raw)))

    def group(self, name, container=None):
        """The group of a pod, or of one of its containers; "" is its sandbox."""
        raw = self.pods[name]
        group = self.hierarchy.pod(kube_qos(raw), kubelet_uid(raw))
        if container is None:
            return group
        return self.container(group, hashlib.sha256(f"{name}/{container}".encode()).hexdigest())

    def adjusted(self, plan):
        """What it is this second."""
        return plan

    def round(self):
        """One round, and a second passes."""
        pods = [read_agent_pod(raw) for raw in self.pods.values()]
        done = self.agent.round(pods, self.node, self.settings, self.adjusted)
        self.time += 1
        return done

    def rounds(self, seconds=22):
        """Rounds of a time in which everything is seen and written; the last one's report."""
        for _ in range(seconds):
            done = self.round()
        return done

    def lines(self):
        """What the ledger holds, without its headers."""
        self.ledger.flush()
        return [line for line in read_lines(self.root / "ledger") if "boot" not in line]


def seed_004(world):
    """One pod of each class on 16 CPUs, a BE pod with limits, and one without a class."""
    world.add("lse", "LSE", cpus=2, set_="0-1")
    world.add("lsr", "LSR", cpus=2, set_="2-3")
    world.add("ls", "LS")
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.add("plain", "", kube="BestEffort")


def sets(world):
    """The CPU set of each pod's container."""
    return {name: world.kernel.text(world.group(name, "main"), "cpuset.cpus") for name in world.pods}
