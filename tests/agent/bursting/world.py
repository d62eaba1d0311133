"""A node for tests whose pods have quotas of a kubelet: what is used and throttled is said by the test."""

import hashlib
from dataclasses import replace

from tests.agent.worlds.said import Said
from tests.agent.worlds.world import World
from webhook.agent.bursting.burster import Burster
from webhook.agent.findings import Findings
from webhook.agent.measuring.throttling import Throttled
from webhook.agent.plan.target import Knob
from webhook.agent.writing.files import parse, render
from webhook.pods.pod import containers
from webhook.pods.quantities import milli
from webhook.slo.nodeslo import read_nodeslo

FILES = {1: "cpu.cfs_quota_us", 2: "cpu.max"}


def container(limit=None, name="main"):
    """One with this limit of cpu."""
    return {"name": name, "resources": {"limits": {"cpu": limit}} if limit else {}}


class SaidThrottled:
    """Implements Throttles: what the test says of a group; else it was not throttled and used nothing."""

    def __init__(self):
        self.groups = {}

    def look(self, group, *, use):
        """What was said."""
        found = self.groups.get(group, Throttled(0, 1.0, 0.0))
        return found if use or found is None else found._replace(cores=None)

    def keep(self, groups):
        """No file is open."""


class BurstWorld(World):
    """Pods with the quotas that follow from their limits, as a kubelet writes them."""

    def __init__(self, root, version=1, driver="cgroupfs", *, slo=None, **fields):
        self.used, self.findings, self.throttled = Said(), Findings(), SaidThrottled()
        self.kubelet = {}
        super().__init__(root, version, driver, **fields)
        self.slo(**(slo or {}))

    def start(self):
        """Start the agent anew: it knows what files and ledger say."""
        super().start()
        self.burster = Burster(
            self.hierarchy,
            self.files or self.kernel,
            self.used,
            self.findings,
            self.throttled,
            self.ledger,
            clock=lambda: self.time,
        )

    def slo(self, policy="cfsQuotaBurstOnly", **fields):
        """Write the NodeSLO."""
        spec = {"cpuBurstStrategy": {"policy": policy, **fields}}
        self.settings = replace(self.settings, slo=read_nodeslo(spec))

    def add(self, name, qos="LS", **fields):
        """A pod starts, and the kubelet gives it its quotas."""
        super().add(name, qos, **fields)
        for each, quota in self.bases(name).items():
            assert self.kubelet_writes(name, each, quota)
        return self.group(name)

    def bases(self, name):
        """The quotas of a pod and of its containers that the kubelet writes, the pod's first; -1 is none."""
        spec = self.pods[name]["spec"]
        whole = spec.get("resources", {}).get("limits", {}).get("cpu")
        limits = {
            each.name: each.quantities("limits").get("cpu", whole) for each in containers({"spec": spec})
        }
        quotas = {each: 100 * milli(limit) if limit else -1 for each, limit in limits.items()}
        above = -1 if -1 in quotas.values() else sum(quotas.values())
        return {None: 100 * milli(whole) if whole else above} | quotas

    def kubelet_writes(self, name, container, quota):
        """Whether the kernel lets the kubelet write a quota."""
        group = self.group(name, container)
        text = render(Knob.QUOTA, quota, self.kernel.version)
        done = self.kernel.foreign(group, FILES[self.kernel.version], text)
        if done:
            self.kubelet[group] = quota
        return done

    def resize(self, name, limit, container="main"):
        """The limit of a container changes, of which the kubelet hears."""
        spec = self.pods[name]["spec"]
        spec["containers"] = [
            {**each, "resources": {"limits": {"cpu": limit}}} if each["name"] == container else each
            for each in spec["containers"]
        ]

    def kubelet_resizes(self, name):
        """The kubelet writes what differs, as far as the kernel lets it: whether all stands there."""
        bases = self.bases(name)
        below = [each for each in bases if each is not None]
        grows = bases[None] < 0 or bases[None] > self.quota(name)
        order = [None, *below] if grows else [*below, None]
        return all(
            self.kubelet_writes(name, each, bases[each])
            for each in order
            if self.kubelet.get(self.group(name, each)) != bases[each]
        )

    def start_again(self, name, container="main"):
        """A container ends and starts again: another group, with the quota of its limit."""
        (status,) = [
            each for each in self.pods[name]["status"]["containerStatuses"] if each["name"] == container
        ]
        old = status["containerID"].removeprefix("containerd://")
        new = hashlib.sha256(f"{old} again".encode()).hexdigest()
        above = self.group(name)
        self.kernel.remove(self.container(above, old))
        self.kernel.make(self.container(above, new))
        # The same pod as the API server has it now: what was read of it before is another object.
        status["containerID"] = f"containerd://{new}"
        self.kubelet_writes(name, container, self.bases(name)[container])

    def group(self, name, container=None):
        """The group of a pod, or of one of its containers as its status names it."""
        if not container:
            return super().group(name, container)
        (number,) = [
            each["containerID"].removeprefix("containerd://")
            for each in self.pods[name]["status"]["containerStatuses"]
            if each["name"] == container
        ]
        return self.container(super().group(name), number)

    def throttle(self, name, container="main", periods=5, cores=0.0):
        """A container is throttled from now on; None: nothing is known of it."""
        found = None if periods is None else Throttled(periods, 1.0, cores)
        self.throttled.groups[self.group(name, container)] = found

    def adjusted(self, plan):
        """The plan with raised quotas."""
        return self.burster.adjust(plan, self.settings)

    def quota(self, name, container=None):
        """What stands in the file of a quota."""
        version = self.kernel.version
        return parse(Knob.QUOTA, self.kernel.text(self.group(name, container), FILES[version]), version)

    def quotas(self, name):
        """Of the pod, and of its containers."""
        return [self.quota(name, each) for each in self.bases(name)]
