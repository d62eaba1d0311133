"""Files beside a cluster."""

import threading

import pytest
import yaml

from tests.builders import namespace, priority_class, profile
from tests.kube.fakeapi import CLASSES, NAMESPACES, PROFILES
from tests.waiting import until
from webhook.cluster.combined import CombinedSource


@pytest.fixture
def source(fake, tmp_path):
    """A source of both: in the files a profile, a class and a namespace."""
    objects = (
        profile("both", qosClass="LS"),
        profile("file", qosClass="LS"),
        priority_class("of-file", 1),
        namespace("of-file"),
    )
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all(objects))
    fake.put(PROFILES, "both", spec={"qosClass": "BE"})
    fake.put(CLASSES, "of-cluster", value=2)
    fake.put(NAMESPACES, "of-cluster")
    made = CombinedSource(tmp_path, fake.api())
    made.load()
    stop = threading.Event()
    thread = threading.Thread(target=made.watch, args=(stop, 0.02))
    thread.start()
    yield made
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_profiles_of_both_and_the_rest_of_the_cluster(source, fake, tmp_path):
    """The cluster wins over a file of the same name; changes on either side come through."""
    until(lambda: source.status.ready)
    view = source.view
    assert {name: found.qos_class for name, found in view.profiles.items()} == {"both": "BE", "file": "LS"}
    assert [found.name for found in view.index.profiles] == ["both", "file"]
    assert set(view.priority_classes) == {"of-cluster"}
    assert set(view.namespaces) == {"of-cluster"}
    assert (len(source.view.profiles), source.status.files) == (2, 1)
    fake.put(NAMESPACES, "more")
    until(lambda: "more" in source.view.namespaces)
    assert source.view.index is view.index
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(profile("later")))
    until(lambda: "later" in source.view.profiles)
    fake.delete(PROFILES, "both")
    until(lambda: source.view.profiles["both"].qos_class == "LS")
    (tmp_path / "b.yaml").write_text("kind: [")
    until(lambda: "b.yaml" in (source.status.error or ""))
    assert source.status.ready


def test_nothing_is_decided_before_the_cluster_is_synced(source, fake):
    """Files alone do not make a combined view; a namespace is looked up in the cluster."""
    until(lambda: not source.view.missing)
    fake.quietly(NAMESPACES, "new")
    source.look_up("new").result(5)
    assert "new" in source.view.namespaces
