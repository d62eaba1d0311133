"""The annotation ``extended-resource-spec``: the batch resources of each container, for koordlet.

``node.koordinator.sh/extended-resource-spec`` holds
``{"containers": {"<name>": {"requests": {…}, "limits": {…}}}}``. The kubelet does not
pass extended resources to the runtime hooks; the annotation does.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.pods.pod import SECTIONS, annotations, containers
from webhook.pods.quantities import QuantityError, parse, text_of
from webhook.protocol import ANNOTATION_EXTENDED_RESOURCE_SPEC, BATCH_RESOURCES

_CAUSE: Final = Cause("extended-resource-spec", "batch resources of the containers")

_Spec = dict[str, dict[str, dict[str, str]]]


def describe(pod: Mapping[str, Any]) -> _Spec:
    """Return the batch resources by container and section, without empty ones."""
    described: _Spec = {}
    for container in containers(pod):
        if container.kind == "containers" or container.sidecar:
            sections = {}
            for section in SECTIONS:
                quantities = container.quantities(section)
                batch = {n: text_of(quantities[n]) for n in BATCH_RESOURCES if n in quantities}
                if batch:
                    sections[section] = batch
            if sections:
                described[container.name] = sections
    return described


def update(pod: PodEdit) -> str | None:
    """Update the annotation, whether or not a profile matched.

    Returns:
        A warning if the annotation existed and could not be read, else None.
    """
    wanted = describe(pod.value)
    present = annotations(pod.value).get(ANNOTATION_EXTENDED_RESOURCE_SPEC)
    if present is None and not wanted:
        return None
    try:
        same = present is not None and _values(orjson.loads(present)) == _values({"containers": wanted})
        warning = None
    except (orjson.JSONDecodeError, TypeError, AttributeError, QuantityError):
        same = False
        warning = f"annotation {ANNOTATION_EXTENDED_RESOURCE_SPEC} was malformed and was replaced"
    if not wanted:
        pod.remove_annotation(ANNOTATION_EXTENDED_RESOURCE_SPEC, _CAUSE)
    elif not same:
        # Sorted, so that the text depends only on the resources.
        text = orjson.dumps({"containers": wanted}, option=orjson.OPT_SORT_KEYS).decode()
        pod.set_annotation(ANNOTATION_EXTENDED_RESOURCE_SPEC, text, _CAUSE)
    return warning


def _values(described: Any) -> dict[tuple[str, str, str], int]:  # noqa: ANN401 — any JSON value
    """Return the quantities as numbers, independent of their notation."""
    present = described.get("containers")
    return {
        (name, section, resource): parse(text_of(raw))
        for name, sections in ({} if present is None else present).items()
        for section, quantities in (sections or {}).items()
        for resource, raw in (quantities or {}).items()
    }
