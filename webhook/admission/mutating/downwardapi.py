"""References of the downward API to resources that a container no longer has natively.

``resourceFieldRef`` to a limit that is missing reads what the node has to give, so a runtime
that sizes its heap by it is killed by its cgroup; one to a missing request reads 0.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.admission.podedit import PodEdit
from webhook.pods.pod import SECTIONS, Container, containers, mappings, spec

_MOST: Final = 10  # warnings: a pod may have any number of references

_Object = Mapping[str, Any]


def misled(pod: PodEdit, table: Mapping[str, str]) -> list[str]:
    """Return warnings of references that read something else after the translation.

    Args:
        pod: the translated pod.
        table: the new resource for each native one, a row of ``protocol.TRANSLATION``.
    """
    by_name: dict[str, Container] = {}
    found: list[str] = []
    for container in containers(pod.value):
        by_name[container.name] = container
        for entry in mappings(container.value.get("env")):
            if "valueFrom" in entry:
                at = f"spec.{container.kind}[{container.position}].env[{entry.get('name')}]"
                found += _effects(at, entry["valueFrom"], container.name, by_name, table)
    for at, item in _files(spec(pod.value).get("volumes")):
        found += _effects(at, item, "", by_name, table)
    if len(found) > _MOST:
        found[_MOST:] = [f"{len(found) - _MOST} more references to translated limits or requests"]
    return found


def _files(volumes: object) -> Iterator[tuple[str, _Object]]:
    """Yield the files that volumes make of the downward API, with their places."""
    for volume in mappings(volumes):
        projected = volume.get("projected")
        sources = mappings(projected.get("sources")) if isinstance(projected, Mapping) else []
        for source in (volume, *sources):
            downward = source.get("downwardAPI")
            for item in mappings(downward.get("items")) if isinstance(downward, Mapping) else ():
                yield f"spec.volumes[{volume.get('name')}].{item.get('path')}", item


def _effects(
    at: str, holder: object, own: str, by_name: Mapping[str, Container], table: Mapping[str, str]
) -> Iterator[str]:
    reference = holder.get("resourceFieldRef") if isinstance(holder, Mapping) else None
    if not isinstance(reference, Mapping):
        return
    section, _, resource = str(reference.get("resource")).partition(".")
    container = by_name.get(str(reference.get("containerName") or own))
    if container and section in SECTIONS and table.get(resource) in container.quantities(section):
        value = f"the node's {resource}" if section == "limits" else "0"
        yield f"{at}: {section}.{resource} is {value} once colocated: write the figure"
