"""What an administrator may choose, and its defaults."""

import pytest

from webhook.admission.settings import Mode, PodLevelResources, Settings


def test_defaults() -> None:
    """Decisions are carried out, pod-level resources dissolved, every rule as in its table."""
    settings = Settings()
    assert settings.mode == Mode.ENFORCE
    assert settings.pod_level_resources == PodLevelResources.DISSOLVE
    assert settings.rules == {}
    assert settings.signing_key == b""


def test_the_default_rules_cannot_be_written_to() -> None:
    """Settings are values: two of them share nothing that changes."""
    with pytest.raises(TypeError):
        Settings().rules["whole-cpus"] = "off"


@pytest.mark.parametrize(
    ("enum", "words"), [(Mode, "enforce audit"), (PodLevelResources, "dissolve keep deny")]
)
def test_words(enum, words) -> None:
    """The words of the command line."""
    assert " ".join(enum) == words
