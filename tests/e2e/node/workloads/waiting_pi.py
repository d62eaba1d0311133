"""Spark's own pi.py once a file is there, its executors from the start: ``waiting_pi.py FILE PI PARTITIONS``.

Until then there is time to look at them.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

if __name__ == "__main__":
    awaited = Path(sys.argv[1])
    session = SparkSession.builder.getOrCreate()
    while not awaited.exists():
        time.sleep(0.2)
    del sys.argv[:2]  # it finds its own name, and the session
    runpy.run_path(sys.argv[0], run_name="__main__")
