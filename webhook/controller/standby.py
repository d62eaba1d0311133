"""Whether a replica's controller works at the moment, and why it does not."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Gauge

from webhook.kube.client import ApiError


@dataclass(eq=False)
class Standby:
    """Made of whether everything was read and this replica is elected, a gauge, and who else does the work.

    Attributes:
        reason: why the controller does nothing; "" while it works.
    """

    _synced: Callable[[], bool]
    _elected: Callable[[], bool]
    _leader: Gauge
    _others: Callable[[], str] = str
    reason: str = "not elected"

    def look(self) -> str:
        """Find out the reason, show it in the gauge, and return it.

        Raises:
            ApiError: the Lease cannot be renewed, which is the reason until the next look.
        """
        try:
            self.reason = self._found()
        except ApiError:
            self.reason = "the Lease cannot be renewed"
            raise
        finally:
            self._leader.set(not self.reason)
        return self.reason

    def _found(self) -> str:
        if not self._synced():
            return "not everything has been read yet"
        return self._others() if self._elected() else "not elected"
