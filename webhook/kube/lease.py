"""Leader election among replicas by a Lease (``coordination.k8s.io/v1``).

The protocol is that of client-go: the leader renews the Lease; the others take it when its record
has not changed for as long as it lasts, measured by their own clock, so that clocks need not agree.
The election of the ``kubernetes`` package (126 MiB on disk in version 37) goes by the wall clock,
cannot be stopped while it waits and does not give the Lease back. Two replicas may believe for a
moment that they lead: whatever the leader writes must be right when two write it.
"""

import datetime as dt
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Final

from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.kube.timestamps import utc_now

DURATION: Final = 30  # seconds without a renewal after which another replica may take the Lease
RENEW_SECONDS: Final = 10.0
_API_VERSION: Final = "coordination.k8s.io/v1"

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Lease:
    """One Lease, and whether this process holds it: then it is the leader.

    Made of the API server, and the namespace and the name of the Lease; nothing is called yet.

    Attributes:
        identity: must differ between replicas; None makes one for each process.
        clock: seconds, for how long a record has not changed.
        now: the time of day, for what is written.
    """

    _api: Client
    _namespace: str
    _name: str
    _: KW_ONLY
    identity: str | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now
    _record: object = field(default=None, init=False)
    _observed_at: float = field(default=0.0, init=False)
    _renewed_at: float | None = field(default=None, init=False)
    _renew_at: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """Name what is called later."""
        self._collection = collection(_API_VERSION, "leases", self._namespace)
        self._path = member(self._collection, self._name)
        self._replica = f"{socket.gethostname()}_{secrets.token_hex(4)}"

    @property
    def holder(self) -> str:
        """What stands in the Lease while this process holds it."""
        return self.identity or f"{self._replica}_{os.getpid()}"

    @property
    def held(self) -> bool:
        """Whether this process may act; false some time before another one may."""
        return self._renewed_at is not None and self.clock() - self._renewed_at < DURATION * 2 / 3

    def elected(self) -> bool:
        """Renew the Lease if that is due; return whether this process may act. Raises ApiError."""
        if self.clock() >= self._renew_at:
            before = self.held
            leads = self.keep()
            self._renew_at = self.clock() + RENEW_SECONDS
            if leads and not before:
                _log.info("this replica holds Lease %s/%s from now on", self._namespace, self._name)
        return self.held

    def keep(self) -> bool:
        """Take or renew the Lease if that can be done now; return whether it is held.

        Raises:
            ApiError: the API server did not answer, or refused.
        """
        try:
            found = self._api.find(self._path)
            if found is None:
                self._api.call("POST", self._collection, body=self._lease({}, {}))
            else:
                spec = found.get("spec") or {}
                if not self._may_take(spec):
                    self._renewed_at = None
                    return False
                lease = self._lease(found.get("metadata") or {}, spec)
                self._api.call("PUT", self._path, body=lease)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:  # another replica was faster
                self._renewed_at = None
                return False
            raise
        self._renewed_at = self.clock()
        return True

    def seize(self, seconds: int) -> None:
        """Take the Lease from whoever holds it, for so long; raises ApiError.

        The holder acts on until it notices, or for DURATION seconds at most.
        """
        while True:
            found = self._api.find(self._path)
            if found is None:
                return
            lease = self._lease(found.get("metadata") or {}, found.get("spec") or {})
            lease["spec"]["leaseDurationSeconds"] = seconds
            try:
                self._api.call("PUT", self._path, body=lease)
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:  # it was renewed meanwhile
                    raise
            else:
                return

    def release(self) -> None:
        """Release the Lease, so that another replica need not wait; raises ApiError."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        found = self._api.get(self._path)
        spec = found.get("spec") or {}
        if spec.get("holderIdentity") == self.holder:
            free = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
            self._api.call("PUT", self._path, body={**found, "spec": free})

    def _may_take(self, spec: Mapping[str, Any]) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self.holder:
            return True
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._record:
            self._record = record
            self._observed_at = self.clock()
        return self.clock() - self._observed_at > float(spec.get("leaseDurationSeconds") or DURATION)

    def _lease(self, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        now = self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept = spec.get("holderIdentity") == self.holder
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": _API_VERSION,
            "kind": "Lease",
            "metadata": {**metadata, "name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": DURATION,
                "acquireTime": spec.get("acquireTime") if kept else now,
                "renewTime": now,
                "leaseTransitions": transitions if kept or not spec else transitions + 1,
            },
        }
