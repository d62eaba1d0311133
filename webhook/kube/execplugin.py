"""Credentials from a program that a kubeconfig names (``user.exec``).

Source: Kubernetes' ``client.authentication.k8s.io``, v1 and v1beta1. The program is run
when its answer is needed, has expired, or was not accepted.
"""

import datetime as dt
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from webhook.kube.access import AccessError, ClientCertificate
from webhook.kube.timestamps import utc_now

_SECONDS: Final = 60.0
_EARLY: Final = dt.timedelta(seconds=30)


class ExecPlugin:
    """One program and its newest answer."""

    def __init__(
        self, spec: Mapping[str, Any], path: Path, *, now: Callable[[], dt.datetime] = utc_now
    ) -> None:
        """Read ``user.exec`` of the kubeconfig at ``path``; nothing runs yet.

        Raises:
            AccessError: it names no program.
        """
        command = spec.get("command")
        if not isinstance(command, str) or not command:
            raise AccessError(f"{path}: user.exec.command: is empty: name the program")
        if "/" in command:
            command = str(path.parent / command)
        self._path = path
        self._command = command
        self._arguments = [str(argument) for argument in spec.get("args") or ()]
        self._environment = {str(e["name"]): str(e.get("value", "")) for e in spec.get("env") or ()}
        self._version = str(spec.get("apiVersion") or "client.authentication.k8s.io/v1")
        self._hint = spec.get("installHint")
        self._now = now
        self._lock = threading.Lock()
        self._status: Mapping[str, Any] | None = None

    def token(self) -> bytes:
        """Return the token; empty where the program gives a certificate; raises AccessError."""
        return str(self._answer().get("token") or "").encode()

    def client(self) -> ClientCertificate | None:
        """Return the client certificate, if the program gives one; raises AccessError."""
        status = self._answer()
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if not certificate or not key:
            return None
        return ClientCertificate(str(certificate).encode, str(key).encode)

    def renew(self) -> None:
        """Forget the answer: it was not accepted."""
        with self._lock:
            self._status = None

    def _answer(self) -> Mapping[str, Any]:
        with self._lock:
            if self._status is None or self._expired(self._status):
                self._status = self._run()
            return self._status

    def _expired(self, status: Mapping[str, Any]) -> bool:
        end = status.get("expirationTimestamp")
        if not isinstance(end, str):
            return False
        try:
            return dt.datetime.fromisoformat(end) - _EARLY <= self._now()
        except (ValueError, TypeError):
            return True

    def _run(self) -> Mapping[str, Any]:
        what = f"{self._path}: user.exec.command {self._command!r}"
        program = shutil.which(self._command)
        if program is None:
            raise AccessError(f"{what}: is not installed{f': {self._hint}' if self._hint else ''}")
        asked = {"kind": "ExecCredential", "apiVersion": self._version, "spec": {"interactive": False}}
        environment = {
            **os.environ,
            **self._environment,
            "KUBERNETES_EXEC_INFO": orjson.dumps(asked).decode(),
        }
        try:
            done = subprocess.run(  # noqa: S603 — the kubeconfig's owner chose the program
                [program, *self._arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AccessError(f"{what}: {error}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-300:]
            raise AccessError(f"{what}: ended with {done.returncode}: {said or 'and said nothing'}")
        try:
            status = orjson.loads(done.stdout)["status"]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            status = None
        if not isinstance(status, Mapping):
            raise AccessError(f"{what}: wrote no ExecCredential with a status")
        return status
