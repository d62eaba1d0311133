"""Whatever bytes arrive: an answer or a ReviewError, never anything else.

Every answer is a valid AdmissionReview with the uid of its request, and its patch applies.
"""

import base64
import copy
import json
import random
from pathlib import Path

import jsonpatch
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.admission.reviews.test_samples import OBJECTS
from tests.builders import DEFAULTS, batch_profile, container, pod, profile, review, view_of
from tests.conftest import CI
from webhook.admission.decision import decide
from webhook.admission.response import errored, respond
from webhook.admission.review import ReviewError, Webhook, parse_review
from webhook.admission.settings import Mode, Settings

# Each test takes its share: 100,000 inputs and more in CI, 3,000 at a desk.
INPUTS = 100_000 if CI else 3_000

VIEW = view_of(
    [
        *OBJECTS,
        batch_profile("all", labels={"a": "b"}, labelSuffixes={"app": "-x"}),
        profile(
            "patching",
            patch={
                "metadata": {"labels": {"app": None}, "finalizers": ["a/b"]},
                "spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]},
            },
            annotationKeysMapping={"note": "copy"},
            probability=50,
        ),
    ]
)
AUDIT = Settings(mode=Mode.AUDIT, signing_key=b"key")
SAMPLES = [
    path.read_bytes() for path in sorted((Path(__file__).parents[2] / "data" / "reviews").glob("*.json"))
]


def check_answer(body: bytes) -> None:
    """Ask both webhooks; fail unless the answers are valid AdmissionReviews."""
    try:
        parsed = parse_review(body)
    except ReviewError as error:
        status = orjson.loads(errored(error.status, error.message).body)
        assert status["kind"] == "Status"
        assert 400 <= status["code"] < 500
        assert error.message
        assert len(error.message) < 1000
        return
    for webhook in Webhook:
        for chosen in (DEFAULTS, AUDIT):
            check_response(
                parsed, orjson.loads(respond(decide(webhook, parsed, VIEW, chosen).response()).body)
            )


def check_response(parsed, answer) -> None:
    """Fail unless this is what an API server takes as the answer."""
    assert answer.keys() == {"kind", "apiVersion", "response"}
    assert (answer["kind"], answer["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    response = answer["response"]
    assert response["uid"] == parsed.uid
    assert isinstance(response["allowed"], bool)
    assert response.keys() <= {
        "uid",
        "allowed",
        "status",
        "patch",
        "patchType",
        "warnings",
        "auditAnnotations",
    }
    assert all(0 < len(warning) <= 120 for warning in response.get("warnings", ()))
    assert all(isinstance(text, str) for text in response.get("auditAnnotations", {}).values())
    assert ("patch" in response) is ("patchType" in response)
    if response["allowed"]:
        assert "status" not in response
    else:
        assert "patch" not in response
        assert 400 <= response["status"]["code"] < 500
        assert response["status"]["message"]
        assert response["status"]["reason"]
    if "patch" in response:
        patch = json.loads(base64.b64decode(response["patch"]))
        assert patch
        assert {operation["op"] for operation in patch} <= {"add", "replace", "remove"}
        jsonpatch.apply_patch(copy.deepcopy(parsed.object), patch)


JUNK = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e400,
    2**63,
    2**64,
    -(2**70),
    "",
    "x",
    "1K",
    "-1",
    "1e400",
    "0x10",
    "\0",
    "\ud800",
    "é" * 70,
    [],
    {},
    [None],
    [[]],
    [1],
    {"": None},
    {"a": 1},
    {"cpu": []},
    [{"name": None}],
    [{"name": "main"}] * 2,
    "9" * 300,
    {"requests": {"cpu": "1K"}},
    {"requests": []},
    {"limits": {"koordinator.sh/gpu": "100"}},
    {"\ud800": "\ud800"},
]


def places(value, path=()):
    """Yield every place in a JSON tree."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def mutate_tree(tree, rng: random.Random):
    """Return a copy of a review in which a few places hold something else."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        path = rng.choice([p for p in places(tree) if p] or [("x",)])
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        action = rng.random()
        if action < 0.15 and isinstance(parent, dict):
            del parent[path[-1]]
        elif action < 0.3 and isinstance(parent, dict):
            parent[rng.choice(["resources", "labels", "containers", "cpu", "name", "", "\0", "spec"])] = (
                copy.deepcopy(rng.choice(JUNK))
            )
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(JUNK))
    return tree


def to_bytes(tree) -> bytes:
    """Write JSON as a careless client might: lone surrogates, NaN and huge numbers included."""
    return json.dumps(tree).encode()


@pytest.mark.parametrize("part", range(4))
def test_reviews_with_anything_anywhere(part) -> None:
    """A real review in which some field is gone, or holds a value of another type."""
    rng = random.Random(part)
    trees = [json.loads(sample) for sample in SAMPLES]
    for tree in trees:  # in smaller trees what the core reads is hit more often
        (tree["request"].get("object") or {}).get("metadata", {}).pop("managedFields", None)
    for _ in range(INPUTS // 8):
        body = to_bytes(mutate_tree(rng.choice(trees), rng))
        try:
            check_answer(body)
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}: {body.decode()}")


@pytest.mark.parametrize("part", range(2))
def test_broken_bytes(part) -> None:
    """A real review with bytes changed, cut off, inserted or doubled."""
    rng = random.Random(100 + part)
    for _ in range(INPUTS // 4):
        body = bytearray(rng.choice(SAMPLES))
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(body) or 1)
            action = rng.random()
            if action < 0.3:
                del body[at : at + rng.choice((1, 2, 100, len(body)))]
            elif action < 0.6:
                body[at : at + 1] = bytes([rng.randrange(256)])
            else:
                body[at:at] = rng.choice(
                    (b'"', b"}", b"{", b"[", b"\0", b"\xff", b"\\u0000", b"1e999", b"null", b",")
                )
        try:
            check_answer(bytes(body))
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}: {bytes(body)!r}")


@given(st.binary(max_size=300))
@settings(max_examples=INPUTS // 20)
def test_any_bytes(body) -> None:
    """Bytes out of nowhere are no review, and that is said with a 4xx."""
    check_answer(body)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["1K", "1", "BE"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "labels",
                    "annotations",
                    "containers",
                    "initContainers",
                    "resources",
                    "requests",
                    "limits",
                    "cpu",
                    "name",
                    "overhead",
                    "priority",
                    "ownerReferences",
                    "managedFields",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)


@given(json_values, json_values, st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT", ""]))
@settings(max_examples=INPUTS // 30)
def test_any_json_as_the_pod(new, old, operation) -> None:
    """Objects of any shape with the names that the core looks for."""
    check_answer(to_bytes(review(new, old=old, operation=operation)))


@given(strategies.pods, strategies.pods, st.sampled_from(["", "resize"]))
@settings(max_examples=INPUTS // 100)
def test_any_update(new, old, subresource) -> None:
    """Updates between unrelated pods, resizes among them, are answered."""
    check_answer(to_bytes(review(new, old=old, subResource=subresource)))


def test_deep_nesting() -> None:
    """A body nested deeper than any object is refused, or passed over, without a crash."""
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    for body in (b"[" * 100_000, deep, b'{"request":' * 200_000):
        check_answer(body)


@pytest.mark.parametrize("depth", [248, 249, 250, 251, 252, 253, 100, 300, 1000])
def test_deep_nesting_within_a_container_that_moves(depth) -> None:
    """What a patch must carry whole may be nested as deep as the parser lets through.

    An element that a strategic merge moves is removed and added again, its unknown
    fields with it.
    """
    new = pod(container("a", x="NESTED"), container("b"))
    order = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    body = to_bytes(review(new)).replace(b'"NESTED"', b"[" * depth + b"]" * depth)
    try:
        parsed = parse_review(body)
    except ReviewError:
        return
    decision = decide(Webhook.MUTATE, parsed, view_of([profile(patch=order)]), DEFAULTS)
    assert parsed.uid.encode() in respond(decision.response()).body


def test_large_bodies() -> None:
    """A pod of several megabytes is answered; the limit on bodies is the service's."""
    big = {
        "metadata": {"labels": {f"key-{i}": "x" * 60 for i in range(20_000)}},
        "spec": {
            "containers": [{"name": f"c{i}", "resources": {"requests": {"cpu": "1"}}} for i in range(5_000)]
        },
    }
    check_answer(to_bytes(review(big)))
