"""What a run that was ended left in buildah's storage is in nobody's way."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.image.build import HERE, Image, command


def test_what_a_run_left_that_was_ended_goes(tmp_path: Path, image: Image) -> None:
    """A container on an image that lost its name to a later one: both go, the bases stay."""
    del image  # buildah is there
    # Where it points is what base.sh writes, too; it is asked for by the first bases.
    environment = {
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
    }
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n'
    )
    (tmp_path / "containers.conf").write_text(f'[network]\nnetwork_config_dir = "{tmp_path}/networks"\n')

    def buildah(*arguments: str) -> str:
        return command("buildah", *arguments, env=environment).strip()

    version = hashlib.sha256((HERE / "base.sh").read_bytes()).hexdigest()[:12]
    bases = [f"localhost/colocation-webhook-{kind}:{version}" for kind in ("build", "slim")]
    for name in [*bases, "localhost/colocation-webhook:test", "localhost/colocation-webhook:test"]:
        buildah("commit", "--quiet", "--rm", buildah("from", "scratch"), name)
        if name not in bases:
            buildah("mount", buildah("from", "--pull-never", name))
    try:
        assert len(buildah("containers", "--quiet").split()) == 2
        printed = command(HERE / "base.sh", tmp_path).split()
        assert printed == [*environment.values(), *bases]
        assert (tmp_path / "networks").is_dir()  # in place of /etc/cni of this machine
        assert buildah("containers", "--quiet") == ""
        left = set(buildah("images", "--all", "--format", "{{.Name}}").split())
        assert left == {name.rpartition(":")[0] for name in [*bases, "localhost/colocation-webhook:test"]}
    finally:
        buildah("rm", "--all")
