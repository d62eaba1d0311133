"""The commands of README.md and certs/README.md: the tests run these and no others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.e2e.cluster.binaries import ROOT


class Install(NamedTuple):
    """The five blocks of commands, each a script for a shell."""

    in_cluster: str
    opting_in: str
    examining: str
    pointing_out: str
    serving: str


class Managed(NamedTuple):
    """Certificates by the webhook itself."""

    installing: str
    showing: str
    rotating_leaf: str
    rotating_authority: str


class CertManager(NamedTuple):
    """Certificates by cert-manager."""

    installing: str
    looking: str
    renewing: str


class OwnFiles(NamedTuple):
    """Certificates from files."""

    installing: str
    renewing: str
    trusting_both: str
    serving_new: str
    trusting_new: str


class Plain(NamedTuple):
    """Spark on a cluster without Koordinator; the values are a document, the others are scripts."""

    values: str
    installing: str
    opting_in: str
    showing: str
    submitting: str
    looking: str
    ending: str


def plain_cluster() -> Plain:
    """Read "Colocate Spark on a plain cluster"."""
    readme, heading = ROOT / "README.md", "Colocate Spark on a plain cluster"
    return Plain(*_blocks(readme, heading, "yaml"), *_blocks(readme, heading))


def install() -> Install:
    """Read "Install" and "Out of the cluster"; another number of blocks is an error: none is forgotten."""
    readme = ROOT / "README.md"
    return Install(*_blocks(readme, "Install"), *_blocks(readme, "Out of the cluster"))


def managed() -> Managed:
    """Read "The webhook itself"."""
    return Managed(*_blocks(CERTIFICATES, "The webhook itself"))


def cert_manager() -> CertManager:
    """Read "cert-manager"."""
    return CertManager(*_blocks(CERTIFICATES, "cert-manager"))


def own_files() -> OwnFiles:
    """Read "Files of your own"."""
    return OwnFiles(*_blocks(CERTIFICATES, "Files of your own"))


CERTIFICATES = ROOT / "certs" / "README.md"


def _blocks(readme: Path, heading: str, kind: str = "sh") -> list[str]:
    _, _, rest = readme.read_text().partition(f"\n## {heading}\n")
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
