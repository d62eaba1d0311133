"""Ends the creation of pods without end: a controller that selects by a label which a profile changes.

The controller does not know its pod, and makes another. When it has made many, the profile changes no label
any more that the controller's pods have (``Settings.kept_labels``): for ten minutes, or until the profile
changes. The selectors of Kubernetes' own kinds are read first, so that a large rollout that does not select
by the label goes on as it is. Replicas share what they saw in the profile's status.
"""

import datetime as dt
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from webhook.admission.decision import Decision
from webhook.admission.profiles.profile import Profile
from webhook.admission.review import Review
from webhook.cluster.keptlabels import LABELS_KEPT, REPORT_SECONDS, Entry
from webhook.cluster.owners import loses_pods
from webhook.cluster.replicareports import ReplicaReports
from webhook.cluster.source import Source
from webhook.kube.client import ApiError, Client
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.kube.loop import run_loop
from webhook.kube.timestamps import timestamp, utc_now
from webhook.process.tasks import Task, Tasks
from webhook.protocol import USER_AGENT
from webhook.server.creations import ALONE, Creations, Key, Suspect
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings

KEPT_SECONDS: Final = 600.0
MAX_KEPT: Final = 1024
_WRITE_SECONDS: Final = 1.0
_FAILED_SECONDS: Final = 30.0
_READS_AT_ONCE: Final = 16
_READ_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Breaker:
    """Counts what decisions changed, and decides for whom labels are kept.

    Made of the source of the profiles, the settings in force, and metrics.

    Attributes:
        api: gives the selectors of controllers and takes Events; None: counts alone decide.
        reports: to and from other replicas; None: there are none.
        replica: must differ between processes; "": ``watch`` makes one.
        clock: seconds, for counting.
        now: the time of day, for what is reported.
    """

    _source: Source
    _settings: CurrentSettings
    _metrics: ReviewMetrics
    _: KW_ONLY
    api: Client | None = None
    reports: ReplicaReports | None = None
    replica: str = ""
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now
    _creations: Creations = field(default_factory=Creations, init=False)
    _events: EventRecorder | None = field(default=None, init=False)
    _wake: threading.Event = field(default_factory=threading.Event, init=False)
    _profiles: Mapping[str, Profile] = field(default_factory=dict, init=False)
    _kept: dict[Key, float] = field(default_factory=dict, init=False)
    _losing: set[Key] = field(default_factory=set, init=False)
    _reported: dict[Key, float] = field(default_factory=dict, init=False)
    _write_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Make what records Events; nothing is called yet."""
        if self.api is not None:
            self._events = EventRecorder(self.api, USER_AGENT.partition("/")[0])

    def note(self, review: Review, decision: Decision) -> None:
        """Count a decision that took effect; costs little, and blocks nobody."""
        found = decision.relabelled
        if found is None or review.dry_run or decision.audited:
            return
        for profile in found.changes:
            self._metrics.relabelled.labels(profile).inc()
        if self._creations.add(found, self.clock()):
            self._wake.set()

    def watch(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Decide until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop.
            interval: seconds between two looks at what others reported.
        """
        self.replica = self.replica or f"{socket.gethostname()}_{secrets.token_hex(4)}"
        events = Tasks([Task("breaker-events", self._events)] if self._events is not None else [], 1.0)
        events.start()
        run_loop(self.step, stop, name="breaker of label changes", interval=interval, wake=self._wake)
        events.stop()

    def step(self) -> None:
        """Look once at what was counted here and reported by others."""
        self._wake.clear()
        self._forget_changed_profiles()
        moment, now = self.clock(), self.now()
        reported = self.reports.read() if self.reports is not None else {}
        kept = {key: until for key, until in self._kept.items() if until > moment}
        for profile, entries in reported.items():
            for entry in entries:
                if entry.kept_until is not None and entry.kept_until > now:
                    left = min((entry.kept_until - now).total_seconds(), KEPT_SECONDS)
                    kept[Key(profile, *entry.key)] = moment + left
        for suspect in self._losing_pods(moment, kept):
            key, until = suspect.key, None
            if suspect.recent >= ALONE or self._seen_by_another(key, reported.get(key.profile, ()), now):
                until = now + dt.timedelta(seconds=KEPT_SECONDS)
                kept[key] = moment + KEPT_SECONDS
                self._announce(suspect, until)
            elif moment - self._reported.get(key, -REPORT_SECONDS) < REPORT_SECONDS / 2:
                continue
            self._reported[key] = moment
            if self.reports is not None:
                self.reports.add(key.profile, suspect.owner, self.replica, now, until)
        self._reported = {k: at for k, at in self._reported.items() if moment - at < REPORT_SECONDS}
        self._keep(kept)
        if self.reports is not None and moment >= self._write_at:
            self._write_at = moment + _WRITE_SECONDS
            try:
                self.reports.write(now)
            except ApiError as error:
                _log.warning("other replicas cannot be informed of labels that are kept: %s", error)
                self._write_at = moment + _FAILED_SECONDS

    def _forget_changed_profiles(self) -> None:
        before, present = self._profiles, self._source.view.profiles
        if present is before:
            return
        self._profiles = present
        changed = {name for name in before.keys() | present.keys() if before.get(name) != present.get(name)}
        self._creations.forget(changed)
        self._kept = {key: until for key, until in self._kept.items() if key.profile not in changed}
        self._losing = {key for key in self._losing if key.profile not in changed}
        self._reported = {key: at for key, at in self._reported.items() if key.profile not in changed}
        self._publish()
        if self.reports is not None:
            self.reports.forget(changed)

    def _losing_pods(self, moment: float, kept: Mapping[Key, float]) -> list[Suspect]:
        """Return the suspects whose pods are lost; those who lose none are acquitted."""
        suspects = [each for each in self._creations.suspects(moment) if each.key not in kept]
        self._losing &= {each.key for each in suspects}
        unread = [each for each in suspects if each.key not in self._losing]
        for suspect in unread[:_READS_AT_ONCE]:
            if self._loses_pods(suspect):
                self._losing.add(suspect.key)
        if len(unread) > _READS_AT_ONCE:
            self._wake.set()  # the others come in the next round
        return [each for each in suspects if each.key in self._losing]

    def _loses_pods(self, suspect: Suspect) -> bool:
        if self.api is None:
            return True
        try:
            if loses_pods(self.api, suspect.owner, suspect.changes, _READ_SECONDS):
                return True
        except ApiError as error:
            _log.info("%s %s: its selector is not known: %s", suspect.owner.kind, suspect.owner.name, error)
            return suspect.recent >= ALONE  # the count has to do
        self._creations.acquit(suspect)
        return False

    def _seen_by_another(self, key: Key, reported: Iterable[Entry], now: dt.datetime) -> bool:
        return any(
            entry.key == (key.namespace, key.uid)
            and entry.replica != self.replica
            and (now - entry.seen_at).total_seconds() <= REPORT_SECONDS
            for entry in reported
        )

    def _announce(self, suspect: Suspect, until: dt.datetime) -> None:
        owner, profile = suspect.owner, suspect.key.profile
        names = ", ".join(sorted(suspect.changes))
        message = (
            f'profile "{profile}" changes labels ({names}) of the pods of this {owner.kind}, which selects '
            "by them, so it creates pods without end. The profile leaves labels that these pods have until "
            f"{timestamp(until)}. Take them out of the profile, or exclude the pods by its selector"
        )
        _log.error("%s %s/%s: %s", owner.kind, owner.namespace, owner.name, message)
        self._metrics.breakers.labels(profile).inc()
        if self._events is not None:
            about = (owner.namespace, owner.name, owner.uid)
            event = Event(
                *about, WARNING, LABELS_KEPT, message, kind=owner.kind, api_version=owner.api_version
            )
            self._events.record(event)

    def _keep(self, kept: dict[Key, float]) -> None:
        same = kept.keys() == self._kept.keys()
        newest = sorted(kept.items(), key=lambda item: -item[1])[:MAX_KEPT]
        self._kept = dict(newest)
        if not same:
            self._publish()

    def _publish(self) -> None:
        """Have decisions know for whom labels are kept."""
        by_owner: dict[tuple[str, str], set[str]] = {}
        for key in self._kept:
            by_owner.setdefault((key.namespace, key.uid), set()).add(key.profile)
        self._settings.keep_labels(by_owner)
        self._metrics.kept_labels.set(len(self._kept))
