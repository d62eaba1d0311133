"""The command line with another time of day: ``python -m tests.e2e.release.movedclock FILE serve …``.

FILE holds a number of seconds, which is added to the machine's clock and read again each time somebody
asks: the clock of a replica that runs is moved by writing it. Only what looks after certificates asks.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from webhook.cli.main import PROGRAM, main
from webhook.cli.options.clock import Clock


def moved(file: Path) -> Clock:
    """The machine's clock, moved by what stands in ``file``."""
    return Clock(lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(file.read_text())))


if __name__ == "__main__":
    main(args=sys.argv[2:], prog_name=PROGRAM, obj=moved(Path(sys.argv[1])))
