"""Reports of replicas about owners whose pods are relabelled: in the statuses of profiles."""

import datetime as dt
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from webhook.admission.kinds import PROFILES
from webhook.admission.mutating.relabelling import Owner
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

    def read(self) -> Mapping[str, list[Entry]]:
        """Return all entries about the profiles as they are now, by profile."""
        watched = self._source.cache.watched()
        return {
            name: read_entries(each.status, each.generation)
            for name, each in watched.items()
            if has_entries(each.status)
        }

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
        for name, watched in self._source.cache.watched().items():
            mine = {key: entry for key, entry in self._unwritten.items() if key[0] == name}
            if not mine and not has_entries(watched.status):
                continue
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
