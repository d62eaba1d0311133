"""How much memory Spark asks for."""

import pytest

from webhook.pods.sparkmemory import default_factor, mebibytes, with_overhead


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512m", 512), ("3g", 3072), ("1G", 1024), ("2gb", 2048), ("1024", 1024), ("1t", 2**20),
     ("2048k", 2), ("1535k", 1), ("1048576b", 1), (" 1g ", 1024)],
)  # fmt: skip
def test_notation(text, expected):
    """Binary units, MiB where there is none."""
    assert mebibytes(text) == expected


@pytest.mark.parametrize("text", ["", "g", "1.5g", "1Gi", "-1g", "1 g", "1x", "\u0661g"])
def test_what_spark_refuses(text):
    """Kubernetes' own notation is not Spark's."""
    with pytest.raises(ValueError, match="as Spark writes it"):
        mebibytes(text)


@pytest.mark.parametrize(
    ("memory", "kind", "overhead", "expected"),
    [
        (3072, "Scala", None, 3456),  # 10 % are 307: the least is 384
        (8192, "Java", None, 9011),
        (3072, "Python", None, 4300),
        (512, "R", None, 896),
        (1024, "Scala", 100, 1124),
    ],
)
def test_overhead(memory, kind, overhead, expected):
    """A tenth, two fifths outside the JVM, at least 384 MiB; what is stated is taken as it is."""
    assert with_overhead(memory, default_factor(kind), overhead) == expected
