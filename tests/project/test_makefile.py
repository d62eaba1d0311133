"""``make`` and its virtual environment: the right Python, or one line that says which; made once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS = "colocation-webhook needs Python 3.11 or newer"
PYTHON = """\
#!/bin/sh
# An interpreter of another version: it makes environments that hold itself, and its pip does nothing.
case "$1 $2" in
  -c*) shift; exec {real} -c 'import sys; sys.version_info = {version}; sys.version = "{name}"
sys.base_prefix = "{prefix}"; exec(sys.argv.pop(1))' "$@" ;;
  '-m venv') rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; cp /bin/true "$4/bin/pip" ;;
esac
"""


class Clone:
    """A folder with the Makefile and what it needs, and interpreters of any version."""

    def __init__(self, folder):
        self.folder = folder
        self.made = folder / ".venv" / "pip"
        (folder / ".ci").mkdir()
        for name in ("Makefile", "pyproject.toml", ".ci/venv"):
            shutil.copy(ROOT / name, folder / name)

    def python(self, *version, name=None):
        """The path of an interpreter of ``version``."""
        text = ".".join(map(str, version))
        path = self.folder / (name or f"python{text}")
        path.write_text(PYTHON.format(real=sys.executable, version=version, name=text, prefix=path))
        path.chmod(0o755)
        return path

    def make(self, *arguments):
        """Run ``make`` for the environment without packages; its exit status and what it says on stderr."""
        command = ["make", "--silent", ".venv/pip", *arguments]
        # Without what a make around this test hands down.
        env = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        done = subprocess.run(  # noqa: S603 — our own Makefile
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    def version(self):
        """The version of Python that the environment has."""
        return (self.folder / ".venv" / "interpreter").read_text().split()[1]


@pytest.fixture
def clone(tmp_path):
    """A clone without an environment."""
    return Clone(tmp_path)


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 8, 18), (3, 10, 13)])
def test_a_python_that_is_too_old_is_refused_before_anything_is_made(clone, version):
    """One line: what is needed, what was found, how to name another one."""
    old = clone.python(*version)
    status, said = clone.make(f"PYTHON={old}")
    assert status != 0
    found = ".".join(map(str, version))
    remedy = "name another one, as in: make PYTHON=python3.12 run"
    assert said.splitlines()[0] == f"{NEEDS}, and {old} is Python {found}: {remedy}"
    assert not (clone.folder / ".venv").exists()


def test_a_python_that_is_not_there_is_named(clone):
    """The same line."""
    status, said = clone.make("PYTHON=python9")
    assert status != 0
    assert said.startswith(f"{NEEDS}, and python9 does not run: ")


def test_the_python_named_next_is_taken_at_once(clone):
    """Nothing has to be cleaned after a wrong one, nor where .venv holds a wrong one from before."""
    (clone.folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(clone.python(3, 10, 13), clone.folder / ".venv" / "bin" / "python")
    for stamp in ("interpreter", "pip", "installed"):
        (clone.folder / ".venv" / stamp).touch()
    assert clone.make(f"PYTHON={clone.python(3, 10, 13)}")[0] != 0
    assert clone.make(f"PYTHON={clone.python(3, 12, 1)}")[0] == 0
    assert clone.version() == "3.12.1"
    assert not (clone.folder / ".venv" / "installed").exists()


def test_nothing_is_made_twice(clone):
    """Neither with the same Python nor without one: whoever named one need not name it again."""
    named = clone.python(3, 12, 1)
    clone.python(3, 10, 13, name="python3")
    assert clone.make(f"PYTHON={named}")[0] == 0
    made = clone.made.stat().st_mtime_ns
    assert clone.make(f"PYTHON={named}")[0] == 0
    assert clone.make()[0] == 0
    assert clone.made.stat().st_mtime_ns == made


def test_another_python_makes_the_environment_again(clone):
    """All stamps of before are gone."""
    assert clone.make(f"PYTHON={clone.python(3, 11, 7)}")[0] == 0
    (clone.folder / ".venv" / "installed").touch()
    assert clone.make(f"PYTHON={clone.python(3, 13, 0)}")[0] == 0
    assert clone.version() == "3.13.0"
    assert not (clone.folder / ".venv" / "installed").exists()


def test_an_environment_whose_python_is_gone_is_made_again(clone):
    """As after an upgrade of the system."""
    clone.python(3, 11, 7, name="python3")
    assert clone.make()[0] == 0
    (clone.folder / ".venv" / "bin" / "python").unlink()
    clone.python(3, 13, 0, name="python3")
    assert clone.make()[0] == 0
    assert clone.version() == "3.13.0"


@pytest.mark.parametrize(
    ("given", "ports"),
    [([], ("8443", "8081")), (["PORT=9443"], ("9443", "8081")), (["PORT=1", "ADMIN_PORT=2"], ("1", "2"))],
)
def test_run_takes_ports(given, ports):
    """Where the usual ones are busy."""
    made = subprocess.run(  # noqa: S603 — our own Makefile, which is only read
        ["/usr/bin/make", "--dry-run", "--no-print-directory", "run", *given],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"--bind 127.0.0.1:{ports[0]} --admin-bind 127.0.0.1:{ports[1]}" in made.stdout
