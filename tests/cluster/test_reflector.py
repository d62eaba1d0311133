"""Waits between tries."""

from webhook.cluster.reflector import FIRST_WAIT, LONGEST_WAIT, Backoff


def test_waits_double_up_to_the_longest_and_begin_again() -> None:
    """Each is by a random part of a half shorter."""
    backoff = Backoff(dice=lambda: 0.0)
    waits = [backoff.wait() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert waits[-1] == LONGEST_WAIT
    backoff.reset()
    assert Backoff(dice=lambda: 1.0).wait() == FIRST_WAIT / 2
    assert backoff.wait() == FIRST_WAIT


def test_what_the_server_asks_for_is_kept_within_reason() -> None:
    """Retry-After lengthens a wait, to half a minute at most."""
    assert Backoff().wait(7) == 7
    assert Backoff().wait(3600) == 30
