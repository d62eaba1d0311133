"""The table of kinds is what both makers of a view go by."""

import dataclasses

from webhook.admission.kinds import KINDS, PROFILES
from webhook.admission.view import View


def test_every_kind_becomes_a_field_of_the_view() -> None:
    """Each field that is made from objects has a kind, and none has a field that does not exist."""
    made = {kind.field for kind in KINDS}
    others = {"index", "exhaustive", "missing"}
    assert made | others == {field.name for field in dataclasses.fields(View)}


def test_a_kind_says_where_its_objects_are() -> None:
    """The core group's path differs from that of all others."""
    paths = {kind.kind: kind.path for kind in KINDS}
    assert paths["Namespace"] == "/api/v1/namespaces"
    assert paths["PriorityClass"] == "/apis/scheduling.k8s.io/v1/priorityclasses"
    assert PROFILES.path == "/apis/config.koordinator.sh/v1alpha1/clustercolocationprofiles"
    assert len(set(paths.values())) == len(KINDS)
