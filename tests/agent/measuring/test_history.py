"""Peaks, trained and kept."""

import json
from pathlib import Path

import pytest

from tests.agent.builders import GI, MI, Tree, node_pod
from webhook.agent.measuring import peak
from webhook.agent.measuring.history import FILE, History
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.usage import Use
from webhook.agent.statefolder import StateFolder

PODS = [node_pod("web", spec={"containers": [{"name": "m", "resources": {"requests": {"cpu": "4"}}}]})]
ALLOCATABLE = Use(16.0, 64.0 * GI)


def _made(tmp_path: Path) -> tuple[Tree, Sampler, History]:
    tree = Tree(tmp_path / "root")
    sampler = Sampler(tree.hierarchy, tree.root, tree.clock)
    return tree, sampler, History(sampler, StateFolder(tmp_path), clock=lambda: 1e9 + tree.now)


def _work(tree: Tree, sampler: Sampler, history: History, minutes: int) -> None:
    """Let time pass, with a look each second of the last ten of a minute."""
    for _ in range(minutes):
        tree.now += 50
        tree.machine(60.0, 4 * GI)
        tree.group("kubepods", 30.0, GI)
        tree.group("kubepods/burstable/poduid-web", 30.0, 100 * MI)
        for _ in range(10):
            tree.now += 1
            sampler.look(PODS)
        history.step(PODS)


def test_who_was_watched_for_long_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained each minute, here for an hour; what it leaves is foreseen then, also by the next agent."""
    monkeypatch.setattr(peak, "COLD_SECONDS", 3600.0)
    tree, sampler, history = _made(tmp_path)
    assert history.predict(PODS, ALLOCATABLE) is None
    _work(tree, sampler, history, 10)
    first = history.predict(PODS, ALLOCATABLE)
    assert first is not None
    assert first.reclaimable.cpu == 0.0
    _work(tree, sampler, history, 61)
    found = history.predict(PODS, ALLOCATABLE)
    assert found is not None
    # 4 requested; half a core, and as much of the system, a tenth and a bucket more.
    assert 4 - 1.1 * 1.0 * 1.06 - 0.06 <= found.reclaimable.cpu <= 4 - 1.1 * 1.0
    history.keep()
    again = History(sampler, StateFolder(tmp_path))
    again.restore()
    assert again.predict(PODS, ALLOCATABLE) == found


@pytest.mark.parametrize("text", ["[]", '{"pods": {}}', "{", '{"pods": {"a": 1}, "groups": {}}'])
def test_a_broken_file_is_learnt_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    """With a word; nothing is taken of it."""
    _, _, history = _made(tmp_path)
    (tmp_path / FILE).write_text(text)
    history.restore()
    assert FILE in caplog.text
    assert history.predict(PODS, ALLOCATABLE) is None


def test_it_is_kept_every_ten_minutes(tmp_path: Path) -> None:
    """Not each minute: the file is as long as there are pods."""
    tree, sampler, history = _made(tmp_path)
    _work(tree, sampler, history, 4)
    first = json.loads((tmp_path / FILE).read_text())
    _work(tree, sampler, history, 6)
    assert json.loads((tmp_path / FILE).read_text()) == first
    _work(tree, sampler, history, 20)
    assert json.loads((tmp_path / FILE).read_text()) != first
