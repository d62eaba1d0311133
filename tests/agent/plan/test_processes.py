"""Settings of processes are planned where they are switched on, and only then."""

import pytest

from tests.agent.plan.builders import a_pod, one, plan_of, values
from webhook.agent.plan.target import Knob

KEY = "koordinator.sh/oom-score-adj"


def test_the_annotation_holds_where_it_is_obeyed():
    """By default it is not."""
    pod = a_pod("x", "LS", annotations={KEY: "-500"})
    assert values(one(pod, oom_score_adj=True).of_processes) == {Knob.OOM_SCORE_ADJ: -500}
    assert one(pod).of_processes == ()
    assert one(a_pod("x", "LS"), oom_score_adj=True).of_processes == ()


@pytest.mark.parametrize("text", ["", "high", "1001", "-1001", "1.5"])
def test_an_annotation_that_cannot_be_meant(text):
    """It is a finding, and nothing is written."""
    plan = plan_of(a_pod("x", "LS", annotations={KEY: text}), oom_score_adj=True)
    assert plan.pods[0].of_processes == ()
    assert any(KEY in each and "-1000 to 1000" in each for each in plan.findings)


@pytest.mark.parametrize(
    ("pod", "value"),
    [
        (a_pod("x", "LS"), -5),
        (a_pod("x", "BE"), 10),
        (a_pod("x", "", kube="BestEffort"), 10),
        (a_pod("x", "", kube="Burstable"), -5),
        (a_pod("x", "LSR", cpus=1), None),
    ],
)
def test_nice_values_by_class(pod, value):
    """A pod without a class counts by Kubernetes' own; a class that is left out keeps what it has."""
    found = values(one(pod, nice={"LS": -5, "BE": 10}).of_processes)
    assert found == ({Knob.NICE: value} if value is not None else {})
