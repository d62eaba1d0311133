"""The commands of the README's section "Install": the tests run these and no others."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.e2e.binaries import ROOT


class Install(NamedTuple):
    """The four blocks of commands, each a script for a shell."""

    in_cluster: str
    opting_in: str
    pointing_out: str
    serving: str


def install() -> Install:
    """Read them; another number of blocks is an error, so that none is forgotten."""
    readme = (ROOT / "README.md").read_text()
    _, _, rest = readme.partition("\n## Install\n")
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return Install(*re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
