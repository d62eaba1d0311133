"""The document of the proof: every figure has a place in it, and the newest stands there."""

import json
import re

from tests.e2e import figures

BOOKS = {"sent": 1000, "created": 999, "refused": 1, "unanswered": 0, "stored": 999, "unmutated": 0}
TIMES = {"p50": 0.0051, "p99": 0.02, "longest": 3.05}


def line(test, **more):
    """A line of the file."""
    return json.dumps({"test": test, **more, **BOOKS, **TIMES})


def test_the_newest_line_of_each_test_is_a_row_in_the_order_of_the_document():
    """What stood there before goes; the text around stays."""
    document = "before\n<!-- figures -->\nold\n<!-- end -->\nafter\n"
    lines = [line("soak", growth=["+1 %"]), line("sigkill", recovery_seconds=9.0), line("sigkill", x=2)]
    text = figures.rendered(document, lines)
    assert text.startswith("before\n<!-- figures -->\n| what | pods |")
    assert text.endswith("<!-- end -->\nafter\n")
    rows = [row for row in text.splitlines() if row.startswith(("| SIGKILL", "| soak"))]
    assert rows == [
        "| SIGKILL of one of two replicas | 1,000 | 1 | 0 | 0 | 5 / 20 / 3,050 | x: 2 |",
        "| soak | 1,000 | 1 | 0 | 0 | 5 / 20 / 3,050 | growth: +1 % |",
    ]


def test_the_document_has_a_row_for_every_test():
    """None was forgotten, and the table is the one that is filled in."""
    text = figures.DOCUMENT.read_text()
    block = re.search(r"<!-- figures -->\n(.*)<!-- end -->", text, re.DOTALL)
    titles = [row.split(" | ")[0].removeprefix("| ") for row in block[1].splitlines()[2:]]
    assert titles == list(figures.TITLES.values())
