"""What is used of gunicorn: by name and signature, so that a release that changes one is noticed here."""

import ast
import inspect
from pathlib import Path

import pytest
from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.workers.base import Worker

from webhook.server.worker import ReviewWorker

ROOT = Path(__file__).parents[2]

METHODS = {
    (Worker, "__init__"): ["self", "age", "ppid", "sockets", "app", "timeout", "cfg", "log"],
    (Worker, "init_signals"): ["self"],
    (Worker, "notify"): ["self"],
    (Worker, "run"): ["self"],
    (BaseApplication, "__init__"): ["self", "usage", "prog"],
    (BaseApplication, "load"): ["self"],
    (BaseApplication, "load_config"): ["self"],
    (BaseApplication, "run"): ["self"],
    (Config, "set"): ["self", "name", "value"],
    (glogging.Logger, "setup"): ["self", "cfg"],
}


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=str)
def test_methods_that_are_called_or_overridden(owner, name):
    """They take what they took."""
    assert list(inspect.signature(getattr(owner, name)).parameters) == METHODS[owner, name]


def test_attributes_of_a_worker():
    """Those that the base class sets; ``wsgi`` is what the application's ``load`` returned."""
    used = {"alive", "app", "cfg", "log", "ppid", "sockets", "wsgi", "notify"}
    source = inspect.getsource(Worker)
    assert [name for name in used if f"self.{name}" not in source and not hasattr(Worker, name)] == []


def test_settings_that_are_set():
    """Each is one that gunicorn knows."""
    tree = ast.parse((ROOT / "webhook" / "server" / "run.py").read_text())
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    (settings,) = (node.value for node in assigned if ast.unparse(node.target) == "settings")
    names = [key.value for key in settings.keys]
    assert len(names) > 10
    assert [name for name in names if name not in Config().settings] == []


def test_nothing_private_is_used():
    """No name of gunicorn's base class that begins with an underscore is read or replaced."""
    private = {name for name in dir(Worker) if name.startswith("_") and not name.startswith("__")}
    assert private & set(vars(ReviewWorker)) == set()
    for path in (ROOT / "webhook").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gunicorn"):
                assert not any(part.startswith("_") for part in node.module.split("."))
                assert not any(alias.name.startswith("_") for alias in node.names)
