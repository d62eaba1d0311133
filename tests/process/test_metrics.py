"""Metrics of several processes, added up from their files."""

import subprocess
import sys
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from webhook.process.metrics import render

COUNT = "from prometheus_client import Counter; Counter('asked', 'by somebody').inc(3)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which one process has counted."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", COUNT], check=True)  # noqa: S603 — our own program
    return tmp_path


def test_a_process_that_is_making_its_files_is_waited_for(folder):
    """Its file is empty at first; the others are counted as soon as it is one."""
    (made,) = folder.glob("counter_*.db")
    content = made.read_bytes()
    started = folder / "counter_1.db"
    started.touch()

    def finish():
        time.sleep(0.05)
        started.write_bytes(content)

    thread = threading.Thread(target=finish)
    thread.start()
    text = render(CollectorRegistry()).decode()
    thread.join()
    assert "asked_total 6.0" in text


def test_a_file_that_stays_empty_is_named(folder):
    """With its folder."""
    (folder / "counter_1.db").touch()
    with pytest.raises(RuntimeError, match=str(folder)):
        render(CollectorRegistry())
