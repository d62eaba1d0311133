"""The client of the ledgers in the API server: watched, and changed by compare-and-swap only.

The ledger that a decision was made from may be older than the stored one: its write then raises
``Changed``, and the caller reads and decides again. What this replica wrote itself is known at
once, and the watch does not put it back to what it was before.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from webhook.binding.ledger import Counts, Ledger, read_ledger, write_ledger
from webhook.kube.cache.store import Store
from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.protocol import LEDGER_API_VERSION, LEDGER_RESOURCE

LEDGERS: Final = collection(LEDGER_API_VERSION, LEDGER_RESOURCE)
_MOST_SEEN: Final = 20_000


class Changed(Exception):  # noqa: N818 — an answer, not an error
    """The ledger was changed, deleted or created meanwhile: read it again."""


class LedgerStore(Store[Ledger]):
    """The ledgers by node; none is replaced by an older version of it.

    Attributes:
        seen: the last state of each node's ledger, deleted ones included.
    """

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(_read)
        self.seen: dict[str, Ledger] = {}

    def replace(self, listed: Iterable[tuple[tuple[str, str], Ledger | None]]) -> None:
        """Take a whole list; a ledger that was deleted while no watch was open is remembered, too."""
        before = list(self.values.values())
        super().replace(listed)
        for ledger in (*before, *list(self.values.values())):
            self.seen[ledger.node] = ledger

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """Take a ledger that was deleted, unless it has been created again."""
        gone = read_ledger(raw)
        known = self.values.get(("", gone.node))
        if known is not None and known.uid == gone.uid:
            self.seen[gone.node] = gone
            super().deleted(raw)

    def written(self, ledger: Ledger) -> None:
        """Take a ledger as it has been stored."""
        known = self.values.get(("", ledger.node))
        if known is None or not _older(ledger, known):
            self._put(("", ledger.node), ledger)

    def _put(self, key: tuple[str, str], value: Ledger | None) -> None:
        if value is not None:
            if len(self.seen) > _MOST_SEEN:
                self.seen.clear()
            self.seen[value.node] = value
        super()._put(key, value)


class Ledgers:
    """Reads and writes ledgers.

    Attributes:
        store: the ledgers as they are watched.
    """

    def __init__(self, api: Client, conflict: Callable[[], None]) -> None:
        """Name the API server; ``conflict`` is called for each write of an old version."""
        self._api = api
        self.store = LedgerStore()
        self._conflict = conflict

    def known(self, node: str) -> Ledger | None:
        """Return the ledger as it is known; None: there is none."""
        return self.store.values.get(("", node))

    def last_seen(self, node: str) -> Ledger | None:
        """Return the last known state of a ledger that may have been deleted since."""
        return self.store.seen.get(node)

    def read(self, node: str, *, timeout: float) -> Ledger | None:
        """Return the ledger as it is stored, None where there is none; raises ApiError."""
        raw = self._api.find(member(LEDGERS, node), timeout=timeout)
        if raw is None:
            known = self.known(node)
            if known is not None:
                self.store.deleted(write_ledger(known, None))
            return None
        self.store.changed(raw)
        return read_ledger(raw)

    def write(self, ledger: Ledger, counts: Counts | None, *, timeout: float) -> Ledger:
        """Store a ledger in place of the version that it was made from, and return it as it is stored.

        Raises:
            Changed: another version is stored by now.
            ApiError: it is not known whether it was stored.
        """
        body = write_ledger(ledger, counts)
        new = ledger.version is None
        method, path = ("POST", LEDGERS) if new else ("PUT", member(LEDGERS, ledger.node))
        try:
            raw = self._api.call(method, path, body=body, timeout=timeout)
        except ApiError as error:
            gone = error.status == HTTPStatus.NOT_FOUND and not new
            if error.status == HTTPStatus.CONFLICT or gone:
                self._conflict()
                raise Changed from None
            raise
        metadata = raw.get("metadata") or {}
        stored = replace(
            ledger,
            version=metadata.get("resourceVersion"),
            uid=metadata.get("uid", ""),
            problems=(),
            counts=counts,
        )
        self.store.written(stored)
        return stored


def _read(_name: str, raw: Mapping[str, Any], old: Ledger | None) -> Ledger:
    if old is not None and old.version == raw["metadata"].get("resourceVersion"):
        return old  # what this replica wrote itself
    new = read_ledger(raw)
    return old if old is not None and _older(new, old) else new


def _older(one: Ledger, other: Ledger) -> bool:
    """Whether a ledger is an earlier state; versions are numbers that grow (KEP-5504)."""
    versions = (one.version or "", other.version or "")
    if not all(text.isascii() and text.isdigit() for text in versions):
        return False
    return int(versions[0]) < int(versions[1])
