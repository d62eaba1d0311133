"""Where the memory of a service is: proportional set size (PSS) by process and kind of mapping, in MiB.

`serve` as in `benchmarks.memory`, after some thousand reviews. `code` is what is mapped from files: the
interpreter, its libraries, extension modules; `data` are their variables; `heap` is what malloc and Python's
allocator hold. A second table says what imports add, one after another in one process: of those that a tree
has, whether its service loads them or not.

    python -m benchmarks.where [DIR]

With the folder of another checkout, which has a `.venv`, that one comes first.
"""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.server import serving, workplace
from benchmarks.service.load import run
from benchmarks.tree import Tree, environment

PROFILES: Final = (1, 10_000)
KINDS: Final = ("code", "data", "heap")
IMPORTS: Final = (
    "ssl asyncio",
    "click yaml orjson",
    "cryptography.x509",
    "prometheus_client",
    "uvloop httptools",
    "gunicorn.app.base",
    "webhook.admission.decision",
    "webhook.server.run",
    "flask a2wsgi",
)

_SCRIPT: Final = """
import importlib, sys
def mib():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
before = mib()
print("python", before)
for names in sys.argv[1:]:
    for name in names.split():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            pass
    now = mib()
    print(names.replace(" ", ","), now - before)
    before = now
"""


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="another checkout")
    folder = parser.parse_args().folder
    trees = [*([Tree.at(folder, "before")] if folder else []), Tree.here("after")]
    for tree in trees:
        print(f"{tree.name}: {tree.build}")
    with workplace() as place:
        _processes(place, trees)
    _imports(trees)


def kinds_of(process: int) -> Counter[str]:
    """Return MiB of a process by kind of mapping."""
    found: Counter[str] = Counter()
    kind = ""
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):  # the head of a mapping: range, rights, offset, device, inode, path
            of_file = len(words) > 5 and words[5].startswith("/")
            kind = "heap" if not of_file else "data" if "w" in words[1] else "code"
        elif words[0] == "Pss:":
            found[kind] += int(words[1]) / 1024
    return found


def _processes(place: Path, trees: Sequence[Tree]) -> None:
    print(f"\n{'tree':<8}{'profiles':>9}  {'process':<8}" + "".join(f"{kind:>8}" for kind in (*KINDS, "all")))
    for profiles in PROFILES:
        for tree in trees:
            with serving(tree, place, profiles) as service:
                run(service.target, 8, 2.0)
                for name, process in zip(("master", "worker"), service.server.processes(), strict=True):
                    kinds = kinds_of(process)
                    cells = [*(kinds[kind] for kind in KINDS), kinds.total()]
                    row = "".join(f"{cell:>8.1f}" for cell in cells)
                    print(f"{tree.name:<8}{profiles:>9,}  {name:<8}{row}", flush=True)


def _imports(trees: Sequence[Tree]) -> None:
    print(f"\n{'MiB that an import adds':<30}" + "".join(f"{tree.name:>8}" for tree in trees))
    columns = [_added(tree) for tree in trees]
    for name in columns[0]:
        print(f"{name:<30}" + "".join(f"{column[name]:>8.1f}" for column in columns))


def _added(tree: Tree) -> dict[str, float]:
    command = [str(tree.python), "-I", "-c", _SCRIPT, *IMPORTS]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    return {name: float(mib) for name, mib in (line.split() for line in done.stdout.splitlines())}


if __name__ == "__main__":
    main()
