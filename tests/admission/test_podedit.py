"""What is wrong with a pod is said with field, value and remedy; never with a crash."""

import pytest

from tests.builders import batch_profile, container, mutate, pod, validate
from webhook.admission.podedit import Denied, check_shape

LONG = "x" * 10_000


def with_resources(**resources):
    """Return a pod whose container has these resources."""
    return pod({"name": "main", "resources": resources})


MALFORMED = [
    ({"metadata": []}, "metadata"),
    ({"metadata": "x"}, "metadata"),
    ({"metadata": {"labels": []}}, "metadata.labels"),
    ({"metadata": {"labels": {"a": 1}}}, "metadata.labels[a]"),
    ({"metadata": {"labels": {"a": None}}}, "metadata.labels[a]"),
    ({"metadata": {"annotations": {"a": {}}}}, "metadata.annotations[a]"),
    ({"metadata": {"annotations": "x"}}, "metadata.annotations"),
    ({"metadata": {"name": 1}}, "metadata.name"),
    ({"metadata": {"generateName": []}}, "metadata.generateName"),
    ({"metadata": {"ownerReferences": {}}}, "metadata.ownerReferences"),
    ({"metadata": {"ownerReferences": ["x"]}}, "metadata.ownerReferences[0]"),
    ({"metadata": {"managedFields": [1]}}, "metadata.managedFields[0]"),
    ({"spec": []}, "spec"),
    ({"spec": {"containers": {}}}, "spec.containers"),
    ({"spec": {"containers": ["x"]}}, "spec.containers[0]"),
    ({"spec": {"containers": [None]}}, "spec.containers[0]"),
    ({"spec": {"initContainers": "x"}}, "spec.initContainers"),
    ({"spec": {"containers": [{"name": 1}]}}, "spec.containers[0].name"),
    ({"spec": {"initContainers": [{"restartPolicy": []}]}}, "spec.initContainers[0].restartPolicy"),
    ({"spec": {"priority": "7"}}, "spec.priority"),
    ({"spec": {"priority": True}}, "spec.priority"),
    ({"spec": {"priority": 1.5}}, "spec.priority"),
    ({"spec": {"priorityClassName": 1}}, "spec.priorityClassName"),
    ({"spec": {"schedulerName": {}}}, "spec.schedulerName"),
    ({"spec": {"preemptionPolicy": []}}, "spec.preemptionPolicy"),
    ({"spec": {"overhead": []}}, "spec.overhead"),
    ({"spec": {"overhead": {"cpu": "1K"}}}, "spec.overhead[cpu]"),
    ({"spec": {"resources": "x"}}, "spec.resources"),
    ({"spec": {"resources": {"requests": [1]}}}, "spec.resources.requests"),
    ({"spec": {"resources": {"limits": {"memory": "x"}}}}, "spec.resources.limits[memory]"),
    (with_resources(requests=[1]), "spec.containers[0].resources.requests"),
    ({"spec": {"containers": [{"resources": []}]}}, "spec.containers[0].resources"),
    *(
        (with_resources(requests=empty), "spec.containers[0].resources.requests")
        for empty in ([], "", 0, False)
    ),
    ({"spec": {"resources": {"requests": 0}}}, "spec.resources.requests"),
    *(
        (with_resources(limits={"cpu": raw}), "spec.containers[0].resources.limits[cpu]")
        for raw in (
            "1K",
            "1e400",
            "0x10",
            "1 Gi",
            "NaN",
            "",
            LONG,
            str(2**63),
            None,
            [],
            {},
            True,
            "-1",
            -1,
            -0.5,
            "-1m",
        )
    ),
]


@pytest.mark.parametrize(
    ("new", "field"), MALFORMED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bad_input(new, field) -> None:
    """Bad input: a well-formed review of a bad pod is denied with a 4xx that names the field."""
    answers = [mutate(new, batch_profile()), validate(new), validate(pod(), old=new)]
    for decision in answers:
        denial = decision.denial
        assert denial is not None
        assert denial.startswith(f"{field}:")
        assert len(denial) < 400
        response = decision.response()
        assert response["allowed"] is False
        assert 400 <= response["status"]["code"] < 500
        assert response["status"]["reason"]


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"metadata": None, "spec": None},
        {"metadata": {"labels": None, "annotations": None, "ownerReferences": None, "managedFields": None}},
        {
            "spec": {
                "containers": None,
                "initContainers": None,
                "overhead": None,
                "resources": None,
                "priority": None,
            }
        },
        {"spec": {"containers": []}},
        {"spec": {"containers": [{}]}},
        {"spec": {"containers": [{"name": None, "resources": None}]}},
        with_resources(requests=None, limits=None),
        with_resources(requests={}, limits={"cpu": 1}),
    ],
)
def test_what_is_absent_or_null_is_no_mistake(new) -> None:
    """Absent, null and empty are the same to the API server."""
    check_shape(new)
    assert mutate(new, batch_profile()).denial is None
    validate(new)


def test_the_denial_says_what_it_should_be() -> None:
    """The message shows the value and what is wanted."""
    with pytest.raises(Denied, match=r"spec\.priority: must be an integer, not 'high'"):
        check_shape({"spec": {"priority": "high"}})


def test_resources_are_only_judged_where_they_are_read() -> None:
    """Quantities elsewhere (volumes, say) are the API server's to judge."""
    assert mutate(pod(container(), volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1K"}}])).denial is None
