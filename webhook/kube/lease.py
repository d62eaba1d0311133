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
from http import HTTPStatus
from typing import Any, Final

from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.kube.timestamps import utc_now

DURATION: Final = 30  # seconds without a renewal after which another replica may take the Lease
RENEW_SECONDS: Final = 10.0
_API_VERSION: Final = "coordination.k8s.io/v1"

_log = logging.getLogger(__name__)


class Lease:
    """One Lease, and whether this process holds it: then it is the leader.

    Attributes:
        identity: what stands in the Lease while this process holds it.
    """

    def __init__(
        self,
        api: Client,
        namespace: str,
        name: str,
        *,
        identity: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        """Name the Lease; nothing is called yet.

        Args:
            api: the API server.
            namespace: of the Lease.
            name: of the Lease.
            identity: must differ between replicas; None makes one for each process.
            clock: seconds, for how long a record has not changed.
            now: the time of day, for what is written.
        """
        self._api = api
        self._namespace = namespace
        self._name = name
        self._collection = collection(_API_VERSION, "leases", namespace)
        self._path = member(self._collection, name)
        self._given = identity
        self._replica = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        self._clock = clock
        self._now = now
        self._record: object = None
        self._observed_at = 0.0
        self._renewed_at: float | None = None
        self._renew_at = -math.inf

    @property
    def identity(self) -> str:
        """What names this process among the replicas."""
        return self._given or f"{self._replica}_{os.getpid()}"

    @property
    def held(self) -> bool:
        """Whether this process may act; false some time before another one may."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < DURATION * 2 / 3

    def elected(self) -> bool:
        """Renew the Lease if that is due; return whether this process may act. Raises ApiError."""
        if self._clock() >= self._renew_at:
            before = self.held
            leads = self.keep()
            self._renew_at = self._clock() + RENEW_SECONDS
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
        self._renewed_at = self._clock()
        return True

    def release(self) -> None:
        """Release the Lease, so that another replica need not wait; raises ApiError."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        found = self._api.get(self._path)
        spec = found.get("spec") or {}
        if spec.get("holderIdentity") == self.identity:
            free = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
            self._api.call("PUT", self._path, body={**found, "spec": free})

    def _may_take(self, spec: Mapping[str, Any]) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self.identity:
            return True
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._record:
            self._record = record
            self._observed_at = self._clock()
        return self._clock() - self._observed_at > float(spec.get("leaseDurationSeconds") or DURATION)

    def _lease(self, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept = spec.get("holderIdentity") == self.identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": _API_VERSION,
            "kind": "Lease",
            "metadata": {**metadata, "name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": DURATION,
                "acquireTime": spec.get("acquireTime") if kept else now,
                "renewTime": now,
                "leaseTransitions": transitions if kept or not spec else transitions + 1,
            },
        }
