"""The machine of a ``--topology`` option: this one, one given by counts, or one that a file describes."""

import json
from pathlib import Path
from typing import Final

import click

from webhook.cli.options.declarations import choice_option
from webhook.cpuset.discovery import (
    parse_shape,
    topology_from_annotation,
    topology_from_data,
    topology_from_lscpu,
    topology_from_sysfs,
)
from webhook.cpuset.errors import TopologyError
from webhook.cpuset.topology import NUMBERINGS, Topology
from webhook.pods.documents import DocumentError, objects_of, read_documents
from webhook.pods.pod import annotations
from webhook.protocol import ANNOTATION_CPU_TOPOLOGY

_KIND: Final = "NodeResourceTopology"

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
        TopologyError: it describes no machine.
    """
    if shape is None:
        found = topology_from_sysfs()
    elif not Path(shape).is_file():
        return parse_shape(shape, numbering)
    else:
        try:
            data = Path(shape).read_bytes()
            found = _described(data.decode("utf-8-sig"), data, shape)
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            raise click.ClickException(f"--topology {shape}: cannot be read ({error})") from None
    for note in found.notes:
        click.echo(f"--topology {shape or '(this machine)'}: {note}", err=True)
    return found


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
    topologies = [
        one for one in objects if isinstance(one, dict) and one.get("kind") == "NodeResourceTopology"
    ]
    remedy = "give the output of kubectl get noderesourcetopology NODE -o yaml"
    if len(topologies) != 1:
        problem = f"has {len(topologies)} objects of kind {_KIND}, not one"
        raise TopologyError("--topology", name, problem, remedy)
    text = annotations(topologies[0]).get(ANNOTATION_CPU_TOPOLOGY)
    if not text:
        problem = (
            f"the NodeResourceTopology has no annotation {ANNOTATION_CPU_TOPOLOGY}, which koordlet writes"
        )
        raise TopologyError("--topology", name, problem, remedy)
    return topology_from_annotation(text)
