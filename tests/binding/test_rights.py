"""The chart gives the rights that binding uses, and no others."""

import re
import threading
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.binding.builders import NODES, Replica, node, nrt, pod, store
from tests.waiting import until
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.service import Bindings, BindingSettings
from webhook.kube.events import AGAIN_SECONDS, WARNING, Event
from webhook.kube.lease import Lease
from webhook.kube.paths import PODS

TEMPLATE = Path(__file__).parents[2] / "charts" / "colocation-webhook" / "templates" / "rbac.yaml"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "WATCH": "watch"}


def granted():
    """The rights of the chart's section for CPU sets, and the one for all Events: (resource, verb)."""
    section = TEMPLATE.read_text().split("# CPU sets at binding.")[1].split("{{- end }}")[0]
    rules = yaml.safe_load(section[section.index("  - apiGroups") :])
    found = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    return {*found, ("events", "create")}


def used(fake):
    """The rights that the requests so far needed; those of the lease are the Role's."""
    found = set()
    for method, path in fake.requests:
        rest = re.sub(r"^/(api|apis/[^/]+)/[^/]+/(namespaces/[^/]+/)?", "", path)
        resource, _, name = rest.partition("/")
        found.add((resource, VERBS.get(method) or ("get" if name else "list")))
    return {(resource, verb) for resource, verb in found if resource != "leases"}


@pytest.fixture
def watching(fake):
    """All of binding, as a process runs it, while the fake server is told of one of everything."""
    stop = threading.Event()
    api = fake.api()
    # Not the replica's Lease: who is first would decide which of them reconciles.
    bindings = Bindings(
        api, Lease(api, "d", "watching"), lambda _: True, CollectorRegistry(), BindingSettings()
    )
    thread = threading.Thread(target=bindings.watch, args=(stop, 0.05))
    thread.start()
    until(lambda: bindings.state.synced)
    until(lambda: {key for key in fake.requests if key[0] == "WATCH"} >= {("WATCH", TOPOLOGIES)})
    until(lambda: len([key for key in fake.requests if key[0] == "WATCH"]) == 4)
    yield bindings
    stop.set()
    fake.cut()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("watching")
def test_every_right_is_used_and_none_is_missing(fake):
    """Watches, a set, a denial, a node that is unknown, a repair, an Event that comes again."""
    replica = Replica(fake)
    made = store(fake, PODS, pod())
    assert replica.cpuset(made)
    assert not replica.ask(store(fake, PODS, pod("large", cpu="40")))[1]["allowed"]
    assert replica.cpuset(made)
    store(fake, NODES, node("node-2", uid="two"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    assert replica.cpuset(store(fake, PODS, pod("q")), to="node-2")
    store(fake, PODS, pod("missed", node="node-1"))
    replica.hear()
    replica.round()
    told = Event("d", "p", "u", WARNING, "CPUSetDenied", "no room")
    replica.events._write(told)
    replica.clock.seconds += AGAIN_SECONDS + 1
    replica.events._write(told)
    assert used(fake) == granted()
