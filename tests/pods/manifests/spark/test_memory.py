"""How much memory Spark asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.manifests.spark.memory import Application, Setting, container_memory, mebibytes, version_of

JVM, PYTHON, R = Application(), Application("Python"), Application("R")


def memory(role, settings, application=JVM):
    """Return what a container asks for by these entries of the configuration."""
    conf = {key: Setting(value, f"sparkConf.{key}") for key, value in settings.items()}
    return container_memory(role, conf, application)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512m", 512), ("3g", 3072), ("1G", 1024), ("2gb", 2048), ("1024", 1024), ("1t", 2**20),
     ("2048k", 2), ("1535k", 1), ("1048576b", 1), (" 1g ", 1024)],
)  # fmt: skip
def test_notation(text, expected):
    """Binary units, MiB where there is none."""
    assert mebibytes(text) == expected


@pytest.mark.parametrize("text", ["", "g", "1.5g", "1Gi", "-1g", "1 g", "1x", "\u0661g", "9" * 19])
def test_what_spark_refuses(text):
    """Kubernetes' own notation is not Spark's."""
    with pytest.raises(ValueError, match="as Spark writes it"):
        mebibytes(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4.0.0", (4, 0)),
        ("v3.5", (3, 5)),
        ("3.5.1-scala2.12", (3, 5)),
        ("4", (4, 0)),
        ("latest", None),
        ("", None),
    ],
)
def test_versions(text, version):
    """Major and minor are read; what is no version is None."""
    assert version_of(text) == version


# Each row by the formulas of BasicDriverFeatureStep and ResourceProfile.getResourcesForClusterManager:
# memory + (memoryOverhead, or the greater of int(factor * memory) and the least overhead)
# + for executors off-heap memory, and that of Python workers in Python applications.
FACTOR, DRIVER_FACTOR = "spark.kubernetes.memoryOverheadFactor", "spark.driver.memoryOverheadFactor"
OFF_HEAP = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1g"}


@pytest.mark.parametrize(
    ("role", "settings", "application", "expected"),
    [
        ("driver", {}, JVM, 1024 + 384),
        ("driver", {"spark.driver.memory": "3g"}, JVM, 3072 + 384),
        ("driver", {"spark.driver.memory": "8g"}, JVM, 8192 + 819),
        ("driver", {"spark.driver.memory": "3g"}, PYTHON, 3072 + 1228),
        ("driver", {"spark.driver.memory": "512m"}, R, 512 + 384),
        ("driver", {"spark.driver.memoryOverhead": "100"}, JVM, 1024 + 100),
        ("driver", {"spark.driver.memoryOverhead": "0"}, PYTHON, 1024),
        ("driver", {"spark.executor.memoryOverhead": "2g"}, JVM, 1024 + 384),
        ("driver", {FACTOR: "0.5"}, JVM, 1024 + 512),
        ("driver", {FACTOR: "0.5", DRIVER_FACTOR: "1.0"}, JVM, 1024 + 1024),
        ("driver", {FACTOR: "0.5", DRIVER_FACTOR: "0.6"}, PYTHON, 1024 + 614),
        ("driver", {FACTOR: "0.5", DRIVER_FACTOR: "1.0"}, Application(version=(3, 2)), 1024 + 512),
        ("driver", {FACTOR: "0.1"}, PYTHON, 1024 + 384),
        ("driver", {"spark.driver.minMemoryOverhead": "1g"}, JVM, 1024 + 1024),
        ("driver", {"spark.driver.minMemoryOverhead": "1m"}, JVM, 1024 + 102),
        ("driver", {"spark.driver.minMemoryOverhead": "1g"}, Application(version=(3, 5)), 1024 + 384),
        ("driver", {"spark.driver.minMemoryOverhead": "1g", "spark.driver.memoryOverhead": "1m"}, JVM, 1025),
        ("driver", {"spark.executor.minMemoryOverhead": "1g"}, JVM, 1024 + 384),
        ("driver", OFF_HEAP, JVM, 1024 + 384),
        ("driver", {"spark.executor.pyspark.memory": "2g"}, PYTHON, 1024 + 409),
        ("executor", {"spark.executor.memory": "4g"}, JVM, 4096 + 409),
        ("executor", {"spark.executor.memory": "4g"}, PYTHON, 4096 + 1638),
        ("executor", {"spark.executor.memory": "4g", "spark.executor.pyspark.memory": "2g"}, JVM, 4505),
        ("executor", {"spark.executor.pyspark.memory": "2g"}, PYTHON, 1024 + 409 + 2048),
        ("executor", {"spark.executor.pyspark.memory": "2g"}, R, 1024 + 409),
        ("executor", OFF_HEAP, JVM, 1024 + 384 + 1024),
        ("executor", OFF_HEAP | {"spark.memory.offHeap.enabled": "false"}, JVM, 1024 + 384),
        ("executor", OFF_HEAP | {"spark.memory.offHeap.size": "1048576"}, JVM, 1024 + 384 + 1),
        ("executor", {"spark.executor.minMemoryOverhead": "512m"}, JVM, 1024 + 512),
        ("executor", {"spark.executor.memoryOverheadFactor": "2", FACTOR: "0.5"}, JVM, 1024 + 2048),
        ("executor", {"spark.executor.memoryOverheadFactor": "1e300"}, JVM, 1024 + 2**31 - 1),
        ("executor", OFF_HEAP | {"spark.executor.memoryOverhead": "1g"}, PYTHON, 3 * 1024),
    ],
)  # fmt: skip
def test_the_memory_of_a_container(role, settings, application, expected):
    """Every setting counts for its role, its language and its versions only, in its precedence."""
    assert memory(role, settings, application) == expected


SIZES = st.integers(min_value=0, max_value=10**6).map("{}m".format)
FACTORS = st.floats(min_value=0, max_value=10).map(str)


SETTINGS = st.fixed_dictionaries(
    {"memory": SIZES},
    optional={"memoryOverhead": SIZES, "minMemoryOverhead": SIZES, "memoryOverheadFactor": FACTORS},
)
APPLICATIONS = st.builds(
    Application, st.sampled_from(["", "Python", "R"]), st.tuples(st.integers(3, 4), st.integers(0, 5))
)


@given(
    role=st.sampled_from(["driver", "executor"]),
    own=SETTINGS,
    common=st.none() | FACTORS,
    application=APPLICATIONS,
)
def test_what_is_more_specific_wins(role, own, common, application):
    """The stated overhead beats any factor, the role's factor the common one, both the language's."""
    number = int(own["memory"][:-1])
    if "memoryOverhead" in own:
        extra = int(own["memoryOverhead"][:-1])
    else:
        factor = own.get("memoryOverheadFactor") if application.version >= (3, 3) else None
        share = float(factor or common or ("0.4" if application.language else "0.1"))
        least = own.get("minMemoryOverhead", "384m") if application.version >= (4, 0) else "384m"
        extra = max(int(share * number), int(least[:-1]))
    settings = {f"spark.{role}.{key}": value for key, value in own.items()}
    if common is not None:
        settings[FACTOR] = common
    assert memory(role, settings, application) == number + extra


@given(
    key=st.sampled_from(
        ["memory", "memoryOverhead", "minMemoryOverhead", "memoryOverheadFactor", "pyspark.memory"]
    ),
    value=st.text(max_size=8) | st.sampled_from(["inf", "nan", "-1", "1_0", "1e999", "9" * 400 + "g"]),
)
def test_what_is_no_setting_is_named(key, value):
    """Any text is counted or refused by the name of its field; never another error."""
    try:
        total = memory("executor", {f"spark.executor.{key}": value}, PYTHON)
    except ValueError as error:
        assert str(error).startswith(f"sparkConf.spark.executor.{key}: ")
    else:
        assert total >= 0
