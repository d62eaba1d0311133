"""Prometheus metrics of a process, or of several that add up."""

import os
import struct
import time
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

NAMESPACE = "colocation_webhook"
"""The first part of each metric's name."""

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4

_TRIES: Final = 20
_PAUSE: Final = 0.01  # seconds

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines, rarely read


def new_registry() -> CollectorRegistry:
    """Return a registry with the figures of the process itself: memory, CPU, descriptors."""
    registry = CollectorRegistry()
    if not multiprocess():
        ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the metrics of all processes in Prometheus' text format."""
    if not multiprocess():
        return prometheus_client.generate_latest(registry)
    for _ in range(_TRIES):
        try:
            together = CollectorRegistry()
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return prometheus_client.generate_latest(together)
        except (struct.error, ValueError):
            time.sleep(_PAUSE)  # a process that has just started is making its files
    raise RuntimeError(f"{os.environ['PROMETHEUS_MULTIPROC_DIR']}: a file of metrics cannot be read")


def multiprocess() -> bool:
    """Return whether several processes count together, in one folder (see ``startup.shared_metrics``)."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


class _Number:
    """The number of this process, by which its files of metrics are named.

    It is asked for at each count; to ask the kernel took a third of the time of counting.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._look)

    def _look(self) -> None:
        self._pid = os.getpid()

    def __call__(self) -> int:
        return self._pid


if multiprocess():
    values.ValueClass = values.MultiProcessValue(_Number())  # type: ignore[no-untyped-call]


def process_ended(pid: int) -> None:
    """Take a process that has ended out of the gauges of live ones."""
    if multiprocess():
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Totals:
    """Brings counters to totals that are counted elsewhere."""

    def __init__(self) -> None:
        self._counted: dict[Counter, int] = {}

    def set(self, counter: Counter, total: int) -> None:
        """Bring a counter up to ``total``; of one with labels this takes a child."""
        before = self._counted.get(counter, 0)
        if total > before:
            counter.inc(total - before)
        self._counted[counter] = total


class Level:
    """A gauge of what changes often: a plain number, in one thread, shown from time to time.

    Attributes:
        number: what will be shown; to count in the gauge itself costs ten times as much.
    """

    __slots__ = ("_gauge", "number")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.number = 0

    def show(self) -> None:
        """Bring the gauge up to date."""
        self._gauge.set(self.number)
