"""The kinds that a view is made of: where their objects are, how one is read, and where it goes.

A new kind is a line here and a field of ``View``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from webhook.admission.objects import (
    read_limit_range,
    read_namespace,
    read_priority_class,
    read_resource_quota,
)
from webhook.admission.profiles.profile import read_profile
from webhook.kube.paths import collection
from webhook.protocol import PROFILE_API_VERSION, PROFILE_KIND, PROFILE_RESOURCE


class Kind(NamedTuple):
    """One kind.

    Attributes:
        resource: the plural name.
        read: gets an object's name and the object, and returns what is kept of it (None: nothing).
            Raises ObjectError, for profiles ProfileError.
        field: of ``View``, made from what is kept.
    """

    api_version: str
    kind: str
    resource: str
    read: Callable[[str, Mapping[str, Any]], Any]
    field: Literal["profiles", "priority_classes", "namespaces", "limit_ranges", "quotas"]

    @property
    def path(self) -> str:
        """Where all objects of the kind are."""
        return collection(self.api_version, self.resource)


PROFILES: Final = Kind(
    PROFILE_API_VERSION, PROFILE_KIND, PROFILE_RESOURCE, lambda _, raw: read_profile(raw), "profiles"
)
NAMESPACES: Final = Kind("v1", "Namespace", "namespaces", read_namespace, "namespaces")
PRIORITY_CLASSES: Final = Kind(
    "scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", read_priority_class, "priority_classes"
)
KINDS: Final = (
    PROFILES,
    NAMESPACES,
    PRIORITY_CLASSES,
    Kind("v1", "LimitRange", "limitranges", read_limit_range, "limit_ranges"),
    Kind("v1", "ResourceQuota", "resourcequotas", read_resource_quota, "quotas"),
)
