"""A map of a manifest that knows where it stands, so that an error can name the field."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from webhook.pods.manifests.podtemplates import Object, WorkloadError
from webhook.pods.text import shown


class Manifest(NamedTuple):
    """One map of a manifest.

    Attributes:
        value: the map; empty where the manifest has none.
        at: the object, for messages: ``f.yaml:1: SparkApplication pi``.
        path: of the map within the object, with a dot behind it: ``spec.driver.``.
    """

    value: Mapping[str, Any]
    at: str
    path: str = ""

    def map(self, field: str) -> Self:
        """Return the map at a field, an empty one where there is none; raises WorkloadError."""
        value = self.value.get(field)
        if value is not None and not isinstance(value, dict):
            raise self.error(field, f"must be a map, not {shown(value)}")
        return self._replace(value=value or {}, path=f"{self.path}{field}.")

    def maps(self, field: str) -> list[Object]:
        """Return the list of maps at a field; raises WorkloadError."""
        value = self.value.get(field) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(field, f"must be a list of maps, not {shown(value)}")
        return value

    def text(self, field: str) -> str:
        """Return a string, number or boolean as the operator passes it on, "" where there is none."""
        value = self.value.get(field)
        if isinstance(value, bool):
            return str(value).lower()
        if value is not None and not isinstance(value, str | int | float):
            raise self.error(field, f"must be a string or a number, not {shown(value)}")
        return "" if value is None else str(value)

    def texts(self) -> dict[str, str]:
        """Return the map with each value as :meth:`text` reads it."""
        return {str(key): self.text(key) for key in self.value}

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Name the object in what Spark would refuse; raises WorkloadError."""
        try:
            yield
        except WorkloadError:
            raise
        except ValueError as error:
            raise WorkloadError(f"{self.at}: {error}") from None

    def error(self, field: str, message: str) -> WorkloadError:
        """Return an error about a field."""
        return WorkloadError(f"{self.at}: {self.path}{field}: {message}")
