"""The end-to-end tests are in order: each has its place and its row, without running them."""

import re

import pytest

from tests.e2e.order import FOLDER, ORDER, place
from tests.e2e.scheduling.storm import outcome
from tests.e2e.scheduling.test_attempts import Attempts

FILES = sorted(FOLDER.rglob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_file_has_a_place(path) -> None:
    """Its own, or its folder's; what no entry names raises."""
    assert 0 <= place(path) < len(ORDER)


def test_each_place_is_somebodys() -> None:
    """No entry is left of a file or folder that is gone."""
    assert {place(path) for path in FILES} == set(range(len(ORDER)))


def test_the_installation_in_the_cluster_comes_first() -> None:
    """It is over as soon as another test points the configurations out of the cluster."""
    assert [path.name for path in FILES if place(path) == 0] == ["test_install.py"]


def test_a_file_without_a_place_is_named() -> None:
    """The error says what to add, and where."""
    message = r"gpu/test_x\.py: neither the file nor its folder is in ORDER of .*order\.py"
    with pytest.raises(ValueError, match=message):
        place(FOLDER / "gpu" / "test_x.py")


def test_the_readme_has_a_row_for_each_file() -> None:
    """And no row of a file that is gone."""
    document = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+/test_[a-z_]+\.py)` \|", document, re.MULTILINE)
    assert sorted(rows) == [path.relative_to(FOLDER).as_posix() for path in FILES]


BOUND = 'I1126 05:00:00.1 1 schedule_one.go:341] "Successfully bound pod to node" pod="{}" node="{}"'
EVICTED = (
    'I1126 05:00:00.1 1 x.go:1] "Preemptor Pod preempted victim Pod" preemptor="{}" victim="s/v" node="{}"'
)
DENIED = (
    'E1126 05:00:00.1 1 schedule_one.go:1138] "Error scheduling pod; retrying" err="running Bind plugin '
    '\\"DefaultBinder\\": admission webhook \\"bindings.cpuset\\" denied the request: {}: no room" pod="{}"'
)


def test_what_a_scheduler_did_is_read_of_its_log() -> None:
    """Denied bindings by pod, and evictions for a pod whose next binding, there, was denied."""
    log = [
        EVICTED.format("s/a", "n16"),
        DENIED.format("n16", "s/a"),
        DENIED.format("n16", "s/a"),
        BOUND.format("s/a", "n16"),
        EVICTED.format("s/b", "n16"),
        DENIED.format("n16-reserved", "s/b"),
        EVICTED.format("s/c", "n16"),
        BOUND.format("s/c", "n16"),
        DENIED.format("n16", "elsewhere/a"),
        'E1126 05:00:00.1 1 x.go:1] "Error scheduling pod; retrying" err="timeout" pod="s/a"',
    ]
    found = outcome("\n".join(log), ["s"])
    assert found.denied == {"s/a": 2, "s/b": 1}
    assert (found.denials, found.most_tries, found.bound, found.evictions) == (3, 3, 2, 3)
    assert found.in_vain == ["s/a on n16"]


def test_quantiles_of_attempts() -> None:
    """Interpolated within the bucket, of what came since; other profiles and results do not count."""
    labels = 'profile="koord-scheduler",result="scheduled"'
    other = labels.replace("scheduled", "unschedulable")
    name = "scheduler_scheduling_attempt_duration_seconds"

    def page(*numbers: int) -> str:
        rows = [
            f'{name}_bucket{{{labels},le="{limit}"}} {n}'
            for limit, n in zip(("0.001", "0.002", "+Inf"), numbers, strict=True)
        ]
        return "\n".join(
            [*rows, f'{name}_bucket{{{other},le="0.001"}} 900', f"{name}_sum{{{labels}}} {numbers[-1]}"]
        )

    found = Attempts.read(page(60, 110, 110)).since(Attempts.read(page(50, 10, 10)))
    assert found.number == 100
    assert found.seconds == 100
    assert found.quantile(0.05) == (0.0005, 0.0, 0.001)
    assert found.quantile(0.55) == pytest.approx((0.0015, 0.001, 0.002))
