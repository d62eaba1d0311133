"""What pods use, as a test says it."""

from threading import Lock

from webhook.agent.measuring.usage import Loads


class Said:
    """Implements Measures: what the test says that is used, in cores."""

    def __init__(self):
        self.lock = Lock()
        self.known = True
        self.system = 0.4
        self.pods = {}

    def loads(self):
        """All of it, or nothing."""
        if not self.known:
            return None
        pods = sum(self.pods.values())
        return Loads(pods + self.system, pods, {f"uid-{name}": used for name, used in self.pods.items()})
