"""The end-to-end tests are in order: each has its place and its row, without running them."""

import re

import pytest

from tests.e2e.order import FOLDER, ORDER, place
from tests.e2e.scheduling.storm import outcome
from tests.e2e.scheduling.test_attempts import Attempts, milliseconds

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


def test_one_attempt_is_what_was_added() -> None:
    """Other profiles and results do not count; a search for nodes is part of the attempt."""
    labels = 'profile="koord-scheduler",result="scheduled"'
    other = labels.replace("scheduled", "unschedulable")
    attempts, searches = (
        f"scheduler_scheduling_{each}_duration_seconds" for each in ("attempt", "algorithm")
    )

    def page(number: int, seconds: float, searching: float) -> str:
        return (
            f'{attempts}_bucket{{{labels},le="0.001"}} 900\n'
            f"{attempts}_sum{{{labels}}} {seconds}\n{attempts}_count{{{labels}}} {number}\n"
            f"{attempts}_sum{{{other}}} {7 * number}\n{attempts}_count{{{other}}} {7 * number}\n"
            f"{searches}_sum {searching}\n{searches}_count {8 * number}\n"
        )

    assert Attempts.read("") == (0, 0.0, 0.0)
    found = Attempts.read(page(4, 3.5, 1.25)).since(Attempts.read(page(3, 3.0, 1.0)))
    assert found == (1, 0.5, 0.25)


def test_quantiles_of_attempts() -> None:
    """The attempt that so many are not longer than."""
    assert milliseconds([each / 1000 for each in range(1, 201)]) == {"mean": 100.5, "p50": 100, "p99": 198}
    assert milliseconds([0.002]) == {"mean": 2, "p50": 2, "p99": 2}
