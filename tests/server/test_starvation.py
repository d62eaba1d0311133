"""What a few bytes of somebody else may cost: probes, reviews and the view go on."""

import json

import pytest

from tests.pods.test_documents import LAUGH
from tests.server.service import PROFILE, Service, wait_for


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A service without TLS."""
    with Service(tmp_path_factory.mktemp("service"), tls=False) as service:
        yield service


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROFILE.partition("spec:")[0] + LAUGH + "spec: *a8\n", "aliases add more than"),
        ("a: &a [[*a]]\n", "or in itself"),
        ("{a: " * 100_000, "nested deeper than"),
        ("a: " + "7" * 4000, "a number of 4000 characters"),
        ("a: 0x" + "7" * 8_000_000, "a number of 8000002 characters"),
        (" " * 100 * 10**6, "has 100000000 bytes"),
    ],
    ids=lambda value: value[-30:],
)
def test_a_file_of_little_that_makes_much_keeps_the_view(quiet, text, message):
    """It is refused in one short line, reviews and probes are answered meanwhile."""
    file = quiet.objects / "laugh.yaml"
    file.write_text(text)
    error = wait_for(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"])
    assert message in error
    assert len(error) < 300
    assert quiet.admin("/healthz")[0] == 200
    assert quiet.post()[1]["response"]["patchType"] == "JSONPatch"
    file.unlink()
    wait_for(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"] is None)
