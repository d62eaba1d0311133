"""What the tests of commands share."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from webhook.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples():
    """Return the directory of examples."""
    return ROOT / "examples"


@pytest.fixture
def run():
    """Return a function that runs the command line in this process."""

    def invoke(*args, stdin=None):
        result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def objects(tmp_path):
    """Return a function that writes a directory of objects: texts of YAML documents."""

    def write(*documents):
        directory = tmp_path / "objects"
        directory.mkdir(exist_ok=True)
        (directory / "objects.yaml").write_text("\n---\n".join(documents) or "kind: None\napiVersion: v1")
        return directory

    return write


def profile(name, **spec):
    """Write a profile as YAML (of which JSON is a part)."""
    import json  # noqa: PLC0415

    document = {
        "apiVersion": "config.koordinator.sh/v1alpha1",
        "kind": "ClusterColocationProfile",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(document)
