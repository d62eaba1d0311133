"""Resizes of pods that hold CPU sets, judged before they are stored: can the set follow?

The answer is made from what is watched, without a call: a ledger may have changed meanwhile, and the
reconciler, which carries the resize out, then says what it could not do.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from webhook.admission.validating.validation import fixed
from webhook.binding.grant import Claim
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.reconciling.adjustment import adjust
from webhook.binding.reconciling.audit import wrongs
from webhook.binding.recovery import entry_of, node_of
from webhook.binding.state import State
from webhook.cpuset.allocation import BindPolicy
from webhook.pods.nodes.nodetopology import NodeTopologyError
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus


@dataclass(frozen=True, eq=False)
class Resizes:
    """Says whether CPU sets can follow new requests.

    Attributes:
        opted_in: whether the pods of a namespace get CPU sets here.
        default: what a pod's bind policy ``Default`` means.
    """

    _state: State
    _: KW_ONLY
    opted_in: Callable[[str], bool]
    default: BindPolicy = BindPolicy.FULL_PCPUS

    def why_not(self, pod: Mapping[str, Any], old: Mapping[str, Any]) -> str:
        """Say why the CPU set of a pod cannot become that of its new request; "": it can, or there is none.

        A pod that is not bound gets what it asks for when it is.

        Args:
            pod: as it will be stored.
            old: as it is stored.
        """
        node = node_of(old)
        ledger = self._state.ledgers.known(node) or Ledger(node, "")
        held = self._held(old, ledger) if node and self._state.synced else None
        if held is None:
            return ""
        try:
            request = read_resource_spec(pod, self.default)
            if request is None or not self.opted_in(held.namespace):
                return fixed(held.cpus)
            topology = self._state.nodes.topology_of(node)
        except (ResourceSpecError, NodeTopologyError) as error:
            return str(error)
        claim = Claim(held.uid, held.namespace, held.name, request)
        ledger = ledger.with_entries(held)
        wrong = wrongs(ledger, topology, lambda _: True).get(held.uid, "")
        return adjust(claim, None, topology, ledger, wrong=wrong, now=self._state.now()).problem

    def _held(self, pod: Mapping[str, Any], ledger: Ledger) -> Entry | None:
        """The entry of a pod, or what its annotation stands for; None: it has no CPU set."""
        entry = ledger.entries.get((pod.get("metadata") or {}).get("uid", ""))
        if entry is not None:
            return entry
        try:
            cpus = given_cpus(pod)
        except StatusError:
            return None
        return entry_of(pod, cpus, now=self._state.now()) if cpus else None
