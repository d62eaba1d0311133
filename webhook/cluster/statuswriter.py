"""Writes the statuses of profiles: on the leader, only what changed, not too fast.

Profiles are judged again only when profiles or PriorityClasses changed; what is then
written is the difference to the status that the cluster has.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Event
from typing import Any, Final

from webhook.admission.kinds import PROFILES
from webhook.admission.view import View
from webhook.cluster.cache import WatchedProfile
from webhook.cluster.conditions import READY, judge, status_with
from webhook.cluster.watch import ClusterSource
from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.conditions import Condition
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.kube.paths import member
from webhook.kube.timestamps import utc_now
from webhook.protocol import Action

WRITES_PER_SECOND: Final = 10
_USELESS_SECONDS: Final = 600.0
_SHARE: Final = 20  # judging that took t is followed by 20 t without

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class StatusWriter:
    """Keeps the statuses right while this replica holds the Lease.

    Made of the API server, the source of the profiles and of the view that they are judged by, the Lease,
    and the actions of validation rules that differ from the defaults.

    Attributes:
        now: the time of day.
    """

    _api: Client
    _source: ClusterSource
    _lease: Lease
    _rules: Mapping[str, Action]
    _: KW_ONLY
    now: Callable[[], dt.datetime] = utc_now
    _judged: View | None = field(default=None, init=False)
    _conditions: dict[str, tuple[Condition, ...]] = field(default_factory=dict, init=False)
    _revision: int = field(default=-1, init=False)
    _rest_until: float = field(default=0.0, init=False)

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Write until ``stop`` is set, then release the Lease; meant to run in a thread.

        Args:
            stop: ends the loop.
            interval: seconds between two looks at what changed.
        """
        step = partial(self._round, stop)
        run_loop(step, stop, name="statuses of profiles", interval=interval, lease=self._lease)

    def _round(self, stop: Event) -> None:
        view = self._source.view
        if view.missing or not self._lease.elected() or time.monotonic() < self._rest_until:
            return
        revision = self._source.cache.profiles.revision
        self._judge(view)
        if revision == self._revision:
            return
        self._revision = -1  # until all has been written
        for name, watched, status in self._differences(view):
            if stop.is_set() or not self._lease.elected() or not self._write(name, watched, status):
                return
            stop.wait(1 / WRITES_PER_SECOND)
            if self._source.view.profiles is not view.profiles:
                return  # what changed since may matter more than what is left
        self._revision = revision

    def _differences(self, view: View) -> list[tuple[str, WatchedProfile, dict[str, Any]]]:
        """Return which statuses are to be written, those of profiles with problems first."""
        found = []
        for name, watched in self._source.cache.watched().items():
            # Only a profile that is still what was judged; the next round has the others.
            if view.profiles.get(name) is not watched.profile:
                continue
            conditions = self._conditions[name]
            status = status_with(watched.status, conditions, watched.generation, self.now())
            if status is not None:
                fine = all((c.type == READY) == (c.status == "True") for c in conditions)
                found.append((fine, name, watched, status))
        found.sort(key=lambda each: each[:2])
        return [(name, watched, status) for _, name, watched, status in found]

    def _judge(self, view: View) -> None:
        judged = self._judged
        if (
            judged is not None
            and judged.profiles is view.profiles
            and judged.priority_classes is view.priority_classes
        ):
            return
        started = time.monotonic()
        self._conditions = judge(view, self._rules)
        self._judged = view
        self._revision = -1
        self._rest_until = time.monotonic() + _SHARE * (time.monotonic() - started)

    def _write(self, name: str, watched: WatchedProfile, status: dict[str, Any]) -> bool:
        """Write one status; return whether to go on with others."""
        body = {"metadata": {"resourceVersion": watched.version}, "status": status}
        try:
            answer = self._api.call(
                "PATCH", f"{member(PROFILES.path, name)}/status", body=body, content_type=MERGE_PATCH
            )
        except ApiError as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return True  # deleted or changed meanwhile: the watch brings it
            raise
        if not (answer.get("status") or {}).get("conditions"):
            _log.warning(
                "statuses of profiles are not kept: the CustomResourceDefinition has no status.conditions; "
                "apply the one of this project to see them"
            )
            self._rest_until = time.monotonic() + _USELESS_SECONDS
            return False
        self._source.cache.profiles.learn(answer, watched)
        return True
