"""What a review costs in memory, and who is refused for it."""

import json
import subprocess
import sys

import pytest

from tests.server.running.service import ENVIRONMENT
from webhook.admission.review import parse_review
from webhook.server.http.bodies import MAX_BODY
from webhook.server.http.cost import (
    MAX_CONTAINERS,
    MAX_TREE,
    TooCostlyError,
    check_containers,
    check_tree,
    tree_bytes,
)

MIB = 2**20
HONEST = 3 * MIB // 2
"""Bytes that etcd takes of an object; protobuf writes two for a tag and a length."""

SHAPES = {
    "a string": b'"' + b"\\u003c" * 300_000 + b'"',
    "an emoji and letters": '"😀'.encode() + b"a" * 2_000_000 + b'"',
    "an escaped emoji and letters": b'"\\ud83d\\ude00' + b"a" * 2_000_000 + b'"',
    "environment variables": b"[" + b'{"name":"a"},' * 100_000 + b"1]",
    "empty objects": b"[" + b"{}," * 400_000 + b"1]",
    "objects of one": b"[" + b'{"":0},' * 200_000 + b"1]",
    "lists of one": b"[" + b"[1]," * 400_000 + b"1]",
    "empty lists": b"[" + b"[]," * 400_000 + b"1]",
    "numbers": b"[" + b"1000," * 500_000 + b"1]",
    "strings": b"[" + b'"ab",' * 500_000 + b"1]",
    "labels": b"{" + b"".join(b'"%d":1,' % n for n in range(200_000)) + b'"":1}',
    "managed fields": b"{" + b"".join(b'"f:a%d":{},' % n for n in range(150_000)) + b'"":1}',
    "deep objects": b"[" + (b'{"a":' * 900 + b"1" + b"}" * 900 + b",") * 200 + b"1]",
}
MEASURE = """
import sys, orjson
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024
body = sys.stdin.buffer.read()
before = resident()
tree = orjson.loads(body)
print(resident() - before)
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_the_estimate_is_never_below_what_json_becomes(shape):
    """Measured in a process of its own, whatever the shape; a little is the allocator's."""
    body = SHAPES[shape]
    done = subprocess.run(  # noqa: S603 — ours
        [sys.executable, "-c", MEASURE], input=body, capture_output=True, check=True, env=ENVIRONMENT
    )
    assert int(done.stdout) <= tree_bytes(body) + 4 * MIB


def review(pod, operation="CREATE", **more):
    """The bytes that a kube-apiserver would send."""
    request = {
        "uid": "u-1",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "lab",
        "operation": operation,
        "object": pod,
        **more,
    }
    text = json.dumps(
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request},
        separators=(",", ":"),
    )
    return text.replace("<", "\\u003c").encode()


def pod(**container):
    """A pod of one container."""
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", **container}]}}


LARGE = {
    "one value": pod(env=[{"name": "BIG", "value": "<" * HONEST}]),
    "variables": pod(env=[{"name": "a"}] * (HONEST // 7)),
    "arguments": pod(args=[""] * (HONEST // 2)),
    "tolerations": {"spec": {"tolerations": [{"key": "a"}] * (HONEST // 9), "containers": []}},
    "annotations": {"metadata": {"annotations": {f"{n:06}": "" for n in range(HONEST // 14)}}},
    "managed fields": {
        "metadata": {"managedFields": [{"fieldsV1": {f"f:{n:06}": {} for n in range(HONEST // 14)}}]}
    },
}


@pytest.mark.parametrize("name", LARGE)
def test_what_etcd_takes_is_read(name):
    """The largest pods of 1.5 MiB in protobuf that a field gives, both copies of an UPDATE: no refusal."""
    body = review(LARGE[name], "UPDATE", oldObject=LARGE[name])
    assert len(body) <= MAX_BODY
    check_tree(body)


@pytest.mark.parametrize("name", ["empty objects", "objects of one", "deep objects", "strings", "numbers"])
def test_a_tree_that_is_too_large_is_refused_with_the_uid(name):
    """The uid is found without parsing, where an API server writes it."""
    unit = SHAPES[name]
    body = review({"a": 1}).replace(b'"a":1', b'"a":[' + b",".join([unit] * (MAX_BODY // len(unit))) + b"]")
    assert tree_bytes(body) > MAX_TREE
    with pytest.raises(TooCostlyError, match="MiB in memory") as caught:
        check_tree(body)
    assert (caught.value.uid, caught.value.status) == ("u-1", 422)
    with pytest.raises(TooCostlyError) as caught:
        check_tree(b" " * 9000 + body)
    assert caught.value.uid == ""


@pytest.mark.parametrize(
    ("spec", "operation", "refused"),
    [
        ({"containers": [{}] * MAX_CONTAINERS}, "CREATE", False),
        ({"containers": [{}] * (MAX_CONTAINERS + 1)}, "CREATE", True),
        ({"containers": [{}], "initContainers": [{}] * MAX_CONTAINERS}, "CREATE", True),
        ({"containers": [{}] * (MAX_CONTAINERS + 1)}, "UPDATE", False),  # nothing is changed then
        ({"containers": "many" * MAX_CONTAINERS}, "CREATE", False),
        (["containers"] * 9, "CREATE", False),
    ],
)
def test_a_new_pod_has_a_bounded_number_of_containers(spec, operation, refused):
    """Each costs a part of the patch; a wrong type is somebody else's error."""
    parsed = parse_review(review({"spec": spec}, operation))
    if not refused:
        check_containers(parsed)
        return
    with pytest.raises(TooCostlyError, match=str(MAX_CONTAINERS)) as caught:
        check_containers(parsed)
    assert caught.value.uid == "u-1"
