"""Waits between tries, and the form in which objects are asked for."""

import random
from threading import Event

import pytest

from webhook.kube.backoff import FIRST_WAIT, LONGEST_WAIT, Backoff
from webhook.kube.cache.reflector import Reflector
from webhook.kube.cache.store import Store


def test_waits_double_up_to_the_longest_and_begin_again(monkeypatch) -> None:
    """Each is by a random part of a half shorter."""
    monkeypatch.setattr(random, "random", lambda: 0.0)
    backoff = Backoff()
    waits = [backoff.wait() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert waits[-1] == LONGEST_WAIT
    backoff.reset()
    assert backoff.wait() == FIRST_WAIT
    monkeypatch.setattr(random, "random", lambda: 1.0)
    assert Backoff().wait() == FIRST_WAIT / 2


def test_what_the_server_asks_for_is_kept_within_reason() -> None:
    """Retry-After lengthens a wait, to half a minute at most."""
    assert Backoff().wait(7) == 7
    assert Backoff().wait(3600) == 30


class Asked:
    """Stands in for an API server that has nothing, and notes which form of an answer is asked for."""

    def __init__(self, stop):
        self.forms = {}
        self._stop = stop

    def call(self, _method, _path, *, accept, **_):
        """A list of nothing."""
        self.forms["list"] = accept
        return {"metadata": {"resourceVersion": "1"}, "items": []}

    def stream(self, _path, *, accept, **_):
        """A watch that ends."""
        self.forms["watch"] = accept
        self._stop.set()
        return iter(())


@pytest.mark.parametrize(
    ("metadata_only", "forms"),
    [(False, (None, None)), (True, ("PartialObjectMetadataList", "PartialObjectMetadata"))],
)
def test_a_list_and_a_watch_ask_for_different_forms(metadata_only, forms) -> None:
    """An API server answers a watch that asks for lists with nothing at all, and no error."""
    stop = Event()
    asked = Asked(stop)
    Reflector(asked, "/api/v1/nodes", Store(dict), metadata_only=metadata_only).run(stop)
    said = {
        name: dict(part.partition("=")[::2] for part in form.split(";")) for name, form in asked.forms.items()
    }
    assert (said["list"].get("as"), said["watch"].get("as")) == forms


class Opening(Asked):
    """Stands in for an API server, and for a watch of it, that is being opened when all have to end."""

    def __init__(self, stop):
        super().__init__(stop)
        self.ended = Event()
        self.abort = self.ended.set

    def stream(self, _path, *, opened, **_):
        """A watch on which nothing happens."""
        self._stop.set()
        opened(self)
        yield from () if self.ended.wait(10) else (b"nobody ended it",)


def test_a_watch_that_is_being_opened_at_the_end_is_ended() -> None:
    """It would wait for an event long after all others."""
    stop = Event()
    opening = Opening(stop)
    Reflector(opening, "/api/v1/nodes", Store(dict)).run(stop)
    assert opening.ended.is_set()
