"""A node for tests whose BE pods are suppressed: what pods use is said by the test."""

from dataclasses import replace

from tests.agent.plan.builders import a_node
from tests.agent.worlds.said import Said
from tests.agent.worlds.world import World
from webhook.agent.findings import Findings
from webhook.agent.plan.target import Knob
from webhook.agent.suppression.decision import Options
from webhook.agent.suppression.suppressor import Suppressor
from webhook.agent.writing.files import parse
from webhook.slo.nodeslo import read_nodeslo

ON = {"enable": True}


class SuppressedWorld(World):
    """Pods that run, and an agent that suppresses some of them."""

    def __init__(  # noqa: PLR0913
        self,
        root,
        version=1,
        driver="cgroupfs",
        *,
        shape="1x1x8x2",
        least=2,
        node=None,
        options=None,
        **fields,
    ):
        self.used, self.findings = Said(), Findings()
        self.options, self.reserved = options or Options(least), 0
        super().__init__(root, version, driver, node=node or a_node(shape), **fields)
        self.slo(**ON)

    def start(self):
        """Start the agent anew: it knows nothing of what it decided."""
        super().start()
        self.suppressor = Suppressor(
            self.hierarchy,
            self.files or self.kernel,
            self.used,
            self.findings,
            self.options,
            clock=lambda: self.time,
        )

    def slo(self, **fields):
        """Write the NodeSLO."""
        self.written = fields
        self.settings = replace(self.settings, slo=read_nodeslo({"resourceUsedThresholdWithBE": fields}))

    def adjusted(self, plan):
        """What is left of it for BE pods."""
        return self.suppressor.adjust(plan, replace(self.settings, reserved=self.reserved))

    @property
    def decision(self):
        """What was decided last; None: nothing is suppressed."""
        return self.suppressor.state and self.suppressor.state.decision

    def cpus(self, name):
        """On which CPUs a pod's container runs."""
        return self._value(name, "main", Knob.CPUS, {1: "cpuset.cpus", 2: "cpuset.cpus"})

    def quota(self, name):
        """The quota of a pod's own group."""
        return self._value(name, None, Knob.QUOTA, {1: "cpu.cfs_quota_us", 2: "cpu.max"})

    def _value(self, name, container, knob, files):
        version = self.kernel.version
        return parse(knob, self.kernel.text(self.group(name, container), files[version]), version)
