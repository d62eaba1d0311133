"""kubectl, as tests use it: objects in, objects out, and the words it shows to people."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]
_SECONDS = 120


class RefusedError(AssertionError):
    """The API server refused a request; ``str`` is what kubectl printed."""


class Kubectl:
    """One binary, one kubeconfig."""

    def __init__(self, binary: Path, kubeconfig: Path) -> None:
        self.binary = binary
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command; a refusal is a RefusedError."""
        done = subprocess.run(  # noqa: S603 — the tests' own command lines
            [self.binary, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode:
            raise RefusedError(done.stderr.strip())
        return done

    def create(self, *objects: Object, dry_run: bool = False) -> Object:
        """Create objects and return the (last) one as the API server has it."""
        flags = ["--dry-run=server"] if dry_run else []
        return self._write(["create", *flags], objects)

    def apply(self, *objects: Object) -> Object:
        """Apply objects and return the (last) one as the API server has it."""
        return self._write(["apply"], objects)

    def warnings(self, *objects: Object) -> str:
        """Create objects and return what was shown beside."""
        return self.run("create", "-f", "-", stdin=_stream(objects)).stderr

    def get(self, kind: str, name: str = "", *, namespace: str = "", selector: str = "") -> Object:
        """An object, or a list of them."""
        arguments = ["get", kind, *([name] if name else []), "-o", "json"]
        arguments += ["-n", namespace] if namespace else []
        arguments += ["-l", selector] if selector else []
        result: Object = json.loads(self.run(*arguments).stdout)
        return result

    def items(self, kind: str, *, namespace: str = "", selector: str = "") -> list[Object]:
        """The items of a list."""
        found: list[Object] = self.get(kind, namespace=namespace, selector=selector)["items"]
        return found

    def delete(self, kind: str, *names: str, namespace: str = "") -> None:
        """Delete at once: there is no kubelet that would confirm the end of a pod."""
        place = ["-n", namespace] if namespace else []
        flags = ["--ignore-not-found", "--now", "--wait=false"]
        self.run("delete", kind, *names, *place, *flags)

    def account(self, name: str, *, namespace: str, kubeconfig: Path) -> None:
        """Write what a service account's pods have: its token and its namespace."""
        config = json.loads(self.run("config", "view", "--raw", "--flatten", "-o", "json").stdout)
        token = self.run("-n", namespace, "create", "token", name, "--duration=1h").stdout.strip()
        config["users"][0]["user"] = {"token": token}
        config["contexts"][0]["context"]["namespace"] = namespace
        kubeconfig.write_text(json.dumps(config))

    def _write(self, command: list[str], objects: Sequence[Object]) -> Object:
        done = self.run(*command, "-f", "-", "-o", "json", stdin=_stream(objects))
        # One document after another for several objects; the last one counts.
        text, result = done.stdout.strip(), {}
        while text:
            result, end = json.JSONDecoder().raw_decode(text)
            text = text[end:].lstrip()
        return result["items"][-1] if result["kind"] == "List" else result


def _stream(objects: Sequence[Object]) -> str:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return json.dumps(objects[0] if len(objects) == 1 else listed)
