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


FORKED = """
import os
from webhook.process.metrics import new_registry, render
from prometheus_client import Counter
counter = Counter("asked", "by somebody", registry=new_registry())
counter.inc(3)
for _ in range(2):
    if os.fork() == 0:
        counter.inc(4)
        os._exit(0)
    os.wait()
print(render(None).decode())
"""


def test_each_process_counts_in_a_file_of_its_own(tmp_path):
    """Also one that was forked after its parent had counted: nothing is counted twice or overwritten."""
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)  # noqa: S603 — as above
    assert "asked_total 11.0" in done.stdout
    assert len(list(tmp_path.glob("counter_*.db"))) == 3
