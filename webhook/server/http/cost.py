"""What the JSON of a body becomes in memory, estimated before it is read.

An object of seven bytes takes 190 in Python, so a small body can make a large tree. The estimate counts what
opens, separates and follows: it is never below what orjson makes, and up to four times as much.
"""

import re
from typing import Final, Self

from webhook.admission.review import Review, ReviewError
from webhook.pods.pod import CONTAINER_LISTS

MAX_TREE: Final = 192 * 2**20
"""Bytes of a review in memory, estimated. The most that a pod of 1.5 MiB was brought to, both copies of an
UPDATE counted, is 150 MiB (environment variables with a name and nothing else).
"""

MAX_CONTAINERS: Final = 5_000

_OBJECT, _LIST, _ENTRY = 200, 100, 64
_WIDEST_CHARACTER = 4
_ESCAPE: Final = b"\\u"
_ESCAPE_LENGTH = 6
_UID: Final = re.compile(rb'"request":\s*\{\s*"uid":\s*"([-0-9A-Za-z]{1,64})"')
ENVELOPE_BYTES: Final = 4096


def tree_bytes(body: bytes | bytearray) -> int:
    """Return how many bytes the JSON of a body takes in memory at most."""
    escapes = body.count(_ESCAPE)
    text = len(body) - (_ESCAPE_LENGTH - 1) * escapes
    if escapes or not body.isascii():
        text *= _WIDEST_CHARACTER
    entries = body.count(b",") + body.count(b":")
    return text + _OBJECT * body.count(b"{") + _LIST * body.count(b"[") + _ENTRY * entries


class TooCostlyError(ReviewError):
    """A review costs too much to be decided on.

    It is denied, because failurePolicy Ignore must not let it pass unread.

    Attributes:
        uid: "" where the body does not begin as an API server's does; nobody waits for a denial then.
    """

    def __init__(self, why: str, uid: str) -> None:
        super().__init__(
            f"too costly to decide on: {why}; give the object fewer entries", status=422, uid=uid
        )

    @classmethod
    def of(cls, beginning: bytes, why: str) -> Self:
        """Make one for a review that was not parsed, from the first `ENVELOPE_BYTES` of its body."""
        found = _UID.search(beginning)
        return cls(why, found[1].decode() if found else "")


def check_tree(body: bytes | bytearray) -> None:
    """Raise TooCostlyError for a body whose JSON takes too much memory."""
    size = tree_bytes(body)
    if size > MAX_TREE:
        text = (
            f"its {len(body)} bytes of JSON may take {size >> 20} MiB in memory; {MAX_TREE >> 20} are allowed"
        )
        raise TooCostlyError.of(bytes(body[:ENVELOPE_BYTES]), text)


def check_containers(review: Review) -> None:
    """Raise TooCostlyError for a new pod of so many containers that changing each takes too long.

    60,000, the most that etcd takes, made a patch of 19 MB within 2.7 s and 256 MiB.
    """
    spec = review.object.get("spec")
    if review.operation != "CREATE" or not isinstance(spec, dict):
        return
    number = 0
    for key in CONTAINER_LISTS:
        if isinstance(found := spec.get(key), list):
            number += len(found)
    if number > MAX_CONTAINERS:
        raise TooCostlyError(f"the pod has {number} containers; {MAX_CONTAINERS} are allowed", review.uid)
