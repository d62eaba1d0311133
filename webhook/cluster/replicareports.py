"""Reports of replicas about owners whose pods are relabelled: in the statuses of profiles."""

import datetime as dt
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from webhook.admission.kinds import PROFILES
from webhook.admission.mutating.relabelling import Owner
from webhook.cluster.cache import WatchedProfile
from webhook.cluster.keptlabels import MAX_ENTRIES, Entry, has_entries, read_entries, status_with_entries
from webhook.cluster.watch import ClusterSource
from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.paths import member


class ReplicaReports:
    """What one process has to say, and what all have said; see `webhook.cluster.keptlabels`."""

    def __init__(self, api: Client, source: ClusterSource) -> None:
        """Name where statuses are written and from where they are watched."""
        self._api = api
        self._source = source
        self._unwritten: dict[tuple[str, tuple[str, str], bool], Entry] = {}
        self._revision = -1
        self._with_entries: dict[str, WatchedProfile] = {}

    def read(self) -> Mapping[str, list[Entry]]:
        """Return all entries about the profiles as they are now, by profile."""
        return {name: read_entries(each.status, each.generation) for name, each in self._reporting().items()}

    def add(
        self, profile: str, owner: Owner, replica: str, now: dt.datetime, until: dt.datetime | None
    ) -> None:
        """Note an entry that ``write`` writes; a profile of a file has no status."""
        watched = self._source.cache.watched().get(profile)
        if watched is not None and len(self._unwritten) < MAX_ENTRIES:
            entry = Entry(owner, replica, now, until, watched.generation)
            self._unwritten[profile, entry.key, until is None] = entry

    def forget(self, profiles: Iterable[str]) -> None:
        """Write nothing about profiles that changed."""
        names = set(profiles)
        self._unwritten = {key: entry for key, entry in self._unwritten.items() if key[0] not in names}

    def write(self, now: dt.datetime) -> None:
        """Write what is new, and take out what is over; raises ApiError."""
        affected = dict(self._reporting())
        if self._unwritten:
            watched_now = self._source.cache.watched()
            for name in {key[0] for key in self._unwritten} & watched_now.keys():
                affected[name] = watched_now[name]
        for name, watched in affected.items():
            mine = {key: entry for key, entry in self._unwritten.items() if key[0] == name}
            status = status_with_entries(watched.status, mine.values(), watched.generation, now)
            if status is not None:
                body = {"metadata": {"resourceVersion": watched.version}, "status": status}
                path = f"{member(PROFILES.path, name)}/status"
                try:
                    answer = self._api.call("PATCH", path, body=body, content_type=MERGE_PATCH)
                except ApiError as error:
                    if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                        continue  # deleted or changed meanwhile: the watch brings it before the next round
                    raise
                self._source.cache.profiles.learn(answer, watched)
            for key in mine:
                del self._unwritten[key]

    def _reporting(self) -> Mapping[str, WatchedProfile]:
        """Return the profiles whose statuses have entries; looked for when some profile changed."""
        revision = self._source.cache.profiles.revision
        if revision != self._revision:
            watched = self._source.cache.watched()
            self._with_entries = {name: each for name, each in watched.items() if has_entries(each.status)}
            self._revision = revision
        return self._with_entries
