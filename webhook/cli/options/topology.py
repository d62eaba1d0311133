"""The machine of a ``--topology`` option, and what of its CPUs is not for pods with CPU sets."""

import json
from dataclasses import dataclass
from pathlib import Path

import click

from webhook.cli.options.declarations import choice_option, grouped, share_pool_option
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import (
    parse_shape,
    topology_from_annotation,
    topology_from_data,
    topology_from_lscpu,
    topology_from_sysfs,
)
from webhook.cpuset.errors import RequestError, TopologyError
from webhook.cpuset.sharing import NodeState, PoolLimit, Reservations
from webhook.cpuset.topology import NUMBERINGS, Topology
from webhook.pods.documents import DocumentError, objects_of, read_documents
from webhook.pods.pod import annotations
from webhook.protocol import ANNOTATION_CPU_TOPOLOGY, TOPOLOGY_KIND

shape_option = click.option(
    "--topology",
    "shape",
    metavar="SHAPE|FILE",
    help="SOCKETSxNUMAxCORESxTHREADS such as 2x1x16x2, or a file: output of lscpu -J -e, -e or -p, a "
    "NodeResourceTopology, its annotation cpu-topology, or a list of {cpu, core, node, socket}. "
    "Left out: this machine.",
)
numbering_option = choice_option(
    "--numbering",
    choices=NUMBERINGS,
    text="How CPU ids run in a machine given by numbers: linux puts siblings half the machine apart.",
)


def load_topology(shape: str | None, numbering: str) -> Topology:
    """Return the machine a ``--topology`` option means; this one where it is left out.

    What is taken otherwise than it is described is said on standard error.

    Raises:
        click.ClickException: the file cannot be read.
        TopologyError: it is neither a file nor a shape, or describes no machine.
    """
    if shape is None:
        try:
            found = topology_from_sysfs()
        except TopologyError as error:
            remedy = "give a machine by --topology instead"
            raise TopologyError(error.field, error.value, error.problem, remedy) from None
    elif not Path(shape).is_file():
        if not set(shape) <= set("0123456789x"):
            raise TopologyError(
                "--topology", shape, "no such file, and no shape", "write for example 2x1x16x2"
            )
        try:
            return parse_shape(shape, numbering)
        except TopologyError as error:
            part = "" if error.value == shape else f"{error.field} {error.value} "
            raise TopologyError("--topology", shape, part + error.problem, error.remedy) from None
    else:
        try:
            data = Path(shape).read_bytes()
            found = _described(data.decode("utf-8-sig"), data, shape)
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            raise click.ClickException(f"--topology {shape}: cannot be read ({error})") from None
    for note in found.notes:
        click.echo(f"--topology {shape or '(this machine)'}: {note}", err=True)
    return found


@dataclass(frozen=True, slots=True)
class NodeFlags:
    """The values of the flags."""

    shape: str | None
    numbering: str
    reserved: str
    kubelet_reserved: str
    system: str
    kubelet_pinned: str
    share_pool: str

    def state(self) -> NodeState:
        """Return the node without pods; raises as ``load_topology``, CpuSetError for another flag."""
        reservations = Reservations(
            reserved=parse_cpulist(self.reserved, field="--reserved"),
            kubelet_reserved=parse_cpulist(self.kubelet_reserved, field="--kubelet-reserved"),
            system=parse_cpulist(self.system, field="--system"),
            kubelet_pinned=parse_cpulist(self.kubelet_pinned, field="--kubelet-pinned"),
        )
        limit = PoolLimit.parse(self.share_pool, field="--share-pool")
        topology = load_topology(self.shape, self.numbering)
        try:
            return NodeState(topology, reservations, limit)
        except RequestError as error:
            flag = f"--{error.field.replace('_', '-')}"
            raise RequestError(flag, error.value, error.problem, error.remedy) from None


node_options = grouped(
    "node",
    NodeFlags,
    shape_option,
    numbering_option,
    click.option("--reserved", default="", metavar="CPUS", help="CPUs in no pool (a cpulist)."),
    click.option(
        "--kubelet-reserved",
        default="",
        metavar="CPUS",
        help="The kubelet's reserved CPUs: never bound, but in the pools.",
    ),
    click.option("--system", default="", metavar="CPUS", help="CPUs for SYSTEM pods alone."),
    click.option("--kubelet-pinned", default="", metavar="CPUS", help="CPUs the kubelet has given away."),
    share_pool_option("--share-pool"),
)
"""Add ``--topology`` and what is reserved on the node; pass ``node``."""


def _described(text: str, data: bytes, name: str) -> Topology:
    """Return the machine that a text describes, in whichever of the forms."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and "detail" in value:
        return topology_from_annotation(text)
    if "apiVersion" in (value if isinstance(value, dict) else text):
        return _of_object(data, name)
    if value is None or (isinstance(value, dict) and ("cpus" in value or "lscpu" in value)):
        return topology_from_lscpu(text)
    return topology_from_data(value)


def _of_object(data: bytes, name: str) -> Topology:
    """Return the machine of the only NodeResourceTopology among the Kubernetes objects of a text."""
    objects = [one.value for document in read_documents(data, name) for one in objects_of(document)]
    topologies = [one for one in objects if isinstance(one, dict) and one.get("kind") == TOPOLOGY_KIND]
    remedy = "give the output of kubectl get noderesourcetopology NODE -o yaml"
    if len(topologies) != 1:
        problem = f"has {len(topologies)} objects of kind {TOPOLOGY_KIND}, not one"
        raise TopologyError("--topology", name, problem, remedy)
    text = annotations(topologies[0]).get(ANNOTATION_CPU_TOPOLOGY)
    if not text:
        problem = (
            f"the NodeResourceTopology has no annotation {ANNOTATION_CPU_TOPOLOGY}, which koordlet writes"
        )
        raise TopologyError("--topology", name, problem, remedy)
    return topology_from_annotation(text)
