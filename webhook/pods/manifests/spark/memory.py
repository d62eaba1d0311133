"""How much memory Spark asks Kubernetes for.

Source: Spark 3.0 to 4.1, ``BasicDriverFeatureStep``, ``BasicExecutorFeatureStep`` and
``ResourceProfile``. All sizes are in MiB.
"""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.pods.text import shown

MIN_OVERHEAD: Final = "384m"
DEFAULT_MEMORY: Final = "1g"
# Outside the JVM (Python, R) a process of its own needs memory too.
FACTOR: Final = "0.1"
FACTOR_NON_JVM: Final = "0.4"
ROLE_FACTOR_SINCE: Final = (3, 3)
MIN_OVERHEAD_SINCE: Final = (4, 0)  # SPARK-47208

_FORM = re.compile(r"([0-9]+)([a-z]*)", re.ASCII)
_MAX_DIGITS: Final = 18  # Spark counts in 64 bits
_MAX_INT: Final = 2**31 - 1  # what Scala makes of a share that is larger
_KIB: Final[Mapping[str, int]] = {
    **{unit + end: 2 ** (10 * power) for power, unit in enumerate("kmgtp") for end in ("", "b")},
    "": 2**10,  # Spark's memory settings count in MiB where no unit is written
}
_VERSION = re.compile(r"v?([0-9]{1,4})(?:\.([0-9]{1,4}))?", re.ASCII)


class Setting(NamedTuple):
    """A configuration entry of Spark.

    Attributes:
        value: as spark-submit gets it.
        field: where the manifest says it: ``spec.driver.memory``.
    """

    value: str
    field: str


Conf = dict[str, Setting]


class Application(NamedTuple):
    """What else Spark knows about an application when it counts.

    Attributes:
        language: ``Python``, ``R`` or "" for the JVM. In client mode Spark does not look: "".
        version: as (major, minor); one that is not known is taken for the newest.
    """

    language: str = ""
    version: tuple[int, int] = (9, 9)


def version_of(text: str) -> tuple[int, int] | None:
    """Return major and minor version, None where the text is no version."""
    form = _VERSION.match(text)
    return (int(form[1]), int(form[2] or 0)) if form else None


def mebibytes(text: str, unit: str = "m") -> int:
    """Return a size in Spark's notation (512m, 3g, 1024) in MiB, rounded down as Spark does.

    Args:
        text: the size.
        unit: what a number without a unit counts.

    Raises:
        ValueError: not Spark's notation; Kubernetes' own (3Gi) is not.
    """
    form = _FORM.fullmatch(text.strip().lower())
    if not form or len(form[1]) > _MAX_DIGITS or (form[2] != "b" and form[2] not in _KIB):
        raise ValueError(f"{shown(text)} is not a size as Spark writes it: use 512m or 3g")
    if (form[2] or unit) == "b":
        return int(form[1]) // 2**20
    return int(form[1]) * _KIB[form[2]] // 2**10


def container_memory(role: str, conf: Conf, application: Application) -> int:
    """Return what the container of a role asks for, as request and as limit.

    Args:
        role: ``driver`` or ``executor``.
        conf: all that spark-submit gets.
        application: what it is, and for which Spark.

    Raises:
        ValueError: a setting that Spark would refuse; the message names its field.
    """
    total = memory = _size(conf.get(f"spark.{role}.memory", _setting(DEFAULT_MEMORY)))
    if stated := conf.get(f"spark.{role}.memoryOverhead"):
        total += _size(stated)
    else:
        least = _setting(MIN_OVERHEAD)
        if application.version >= MIN_OVERHEAD_SINCE:
            least = conf.get(f"spark.{role}.minMemoryOverhead", least)
        share = min(_factor(role, conf, application) * memory, _MAX_INT)
        total += max(int(share), _size(least))
    if role == "executor":
        if conf.get("spark.memory.offHeap.enabled", _setting("")).value.lower() == "true":
            total += _size(conf.get("spark.memory.offHeap.size", _setting("0")), unit="b")
        if application.language == "Python" and (stated := conf.get("spark.executor.pyspark.memory")):
            total += _size(stated)
    return total


def _setting(default: str) -> Setting:
    """Return a setting that no manifest states."""
    return Setting(default, "")


def _factor(role: str, conf: Conf, application: Application) -> float:
    """Return the share of the memory that is added for everything outside the heap."""
    keys = [f"spark.{role}.memoryOverheadFactor", "spark.kubernetes.memoryOverheadFactor"]
    if application.version < ROLE_FACTOR_SINCE:
        keys.pop(0)
    default = _setting(FACTOR_NON_JVM if application.language else FACTOR)
    setting = next((conf[key] for key in keys if key in conf), default)
    try:
        factor = float(setting.value)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(f"{setting.field}: {shown(setting.value)} is not a number: write 0.4, for example")
    return factor


def _size(setting: Setting, unit: str = "m") -> int:
    try:
        return mebibytes(setting.value, unit)
    except ValueError as error:
        raise ValueError(f"{setting.field}: {error}") from None
