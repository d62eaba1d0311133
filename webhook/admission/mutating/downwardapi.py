"""References of the downward API to resources that a container no longer has natively.

``resourceFieldRef`` to a limit that is missing reads what the node has to give, so a runtime
that sizes its heap by it is killed by its cgroup; one to a missing request reads 0.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.admission.podedit import PodEdit
from webhook.pods.pod import SECTIONS, Container, containers, mappings, spec
from webhook.protocol import TRANSLATION

_REFERENCE: Final = "resourceFieldRef"
_MOST: Final = 10  # warnings: a pod may have any number of references

_Object = Mapping[str, Any]


def misled(pod: PodEdit) -> list[str]:
    """Return warnings of references in a translated pod that read something else now."""
    references = [*_variables(pod.value), *_files(spec(pod.value).get("volumes"))]
    if not references:
        return []
    by_name = {container.name: container for container in containers(pod.value)}
    found = [text for reference in references if (text := _effect(*reference, by_name))]
    if len(found) > _MOST:
        found[_MOST:] = [f"{len(found) - _MOST} more references to translated limits or requests"]
    return found


def _variables(pod: _Object) -> Iterator[tuple[str, _Object, str]]:
    """Yield the references of environment variables: where each stands, it, its container."""
    for container in containers(pod):
        for entry in mappings(container.value.get("env")):
            source = entry.get("valueFrom")
            if isinstance(source, dict) and isinstance(found := source.get(_REFERENCE), dict):
                at = f"spec.{container.kind}[{container.position}].env[{entry.get('name')}]"
                yield at, found, container.name


def _files(volumes: object) -> Iterator[tuple[str, _Object, str]]:
    """Yield the references of files that volumes make of the downward API."""
    for volume in mappings(volumes):
        projected = volume.get("projected")
        sources = mappings(projected.get("sources")) if isinstance(projected, dict) else []
        for source in (volume, *sources):
            downward = source.get("downwardAPI")
            for item in mappings(downward.get("items")) if isinstance(downward, dict) else ():
                if isinstance(found := item.get(_REFERENCE), dict):
                    yield f"spec.volumes[{volume.get('name')}].{item.get('path')}", found, ""


def _effect(at: str, reference: _Object, own: str, by_name: Mapping[str, Container]) -> str | None:
    section, _, resource = str(reference.get("resource")).partition(".")
    container = by_name.get(str(reference.get("containerName") or own))
    if not container or section not in SECTIONS:
        return None
    quantities = container.quantities(section)
    if not any(table.get(resource) in quantities for table in TRANSLATION.values()):
        return None
    value = f"the node's {resource}" if section == "limits" else "0"
    return f"{at}: {section}.{resource} is {value} once colocated: write the figure"
