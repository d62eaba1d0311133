"""A small API server on loopback that lists, watches and stores, and fails in the ways a real one does."""

import json
import threading
from collections import Counter
from http.server import ThreadingHTTPServer

from tests.kube.fakerequests import END, FakeRequests, selected
from tests.ports import free_ports
from webhook.kube.access import Access
from webhook.kube.client import Client

NAMESPACES = "/api/v1/namespaces"
PROFILES = "/apis/config.koordinator.sh/v1alpha1/clustercolocationprofiles"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
LIMIT_RANGES = "/api/v1/limitranges"
QUOTAS = "/api/v1/resourcequotas"
NODES = "/api/v1/nodes"
COLLECTIONS = (NAMESPACES, PROFILES, CLASSES, LIMIT_RANGES, QUOTAS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class FakeApi:
    """The server; ``with FakeApi() as api`` runs it.

    Attributes:
        failures: answers by path, one for each call, instead of the right one: (status, body).
        requests: how often each (method, path) came; watches as ("WATCH", path).
        queries: the query of each request, in order.
        lag: seconds before each answer.
        late: calls by (method, path), each made once, between an answer and its way to the client.
        mute: watches send nothing.
        closes: each connection after one answer.
        date: what answers say the time is (an HTTP date); None: nothing.
        protected: names of pods that a PodDisruptionBudget protects.
        keeps_status: false: statuses are pruned, as a CRD without the fields does.
    """

    def __init__(self, tls=None):
        """Hold nothing yet; ``tls``: an ssl.SSLContext to speak it."""
        self.tls = tls
        self.objects = {path: {} for path in COLLECTIONS}
        self.version = 10
        self.oldest = 0
        self.failures = {}
        self.requests = Counter()
        self.queries = []
        self.tokens = []
        self.lag = 0.0
        self.late = {}
        self.mute = False
        self.protected = set()
        self.keeps_status = True
        self.date = None
        self.closes = False
        self.lock = threading.RLock()
        self.watches = []
        self.history = []
        self.clients = []
        self.port = 0
        self.server = None

    def __enter__(self):
        """Start."""
        self.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self.stop()

    def start(self):
        """Listen; on the same port as before, if there was one."""
        fake = self

        class Handler(FakeRequests):
            api = fake

        self.server = _Server(("127.0.0.1", self.port or free_ports(1)[0]), Handler)
        self.port = self.server.server_address[1]
        if self.tls is not None:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Vanish: no listener, every watch is cut."""
        self.server.shutdown()
        self.server.server_close()
        self.cut()
        for client in self.clients:
            client.close()

    def api(self, **access):
        """A client."""
        made = Client(
            Access(server=f"http://127.0.0.1:{self.port}", **access), user_agent="colocation-webhook"
        )
        self.clients.append(made)
        return made

    def cut(self):
        """End every watch."""
        self.tell(END)

    def tell(self, what, path=None):
        """Send raw bytes (or END) to the watches."""
        with self.lock:
            for watched, _, events in self.watches:
                if path in {None, watched}:
                    events.put(what)

    def put(self, path, name, namespace="", **fields):
        """Make or change an object, and tell the watches."""
        with self.lock:
            kind, value = self._kept(path, name, namespace, fields)
            self._event(path, kind, value)

    def quietly(self, path, name, **fields):
        """Make an object of which no watch hears, also none that begins later."""
        with self.lock:
            self._kept(path, name, "", fields)

    def _kept(self, path, name, namespace, fields):
        self.version += 1
        stored = self.objects.setdefault(path, {})
        old = stored.get((namespace, name))
        metadata = {"name": name, "resourceVersion": str(self.version)}
        metadata["generation"] = (old or {}).get("metadata", {}).get("generation", 0) + 1
        if namespace:
            metadata["namespace"] = namespace
        metadata |= fields.pop("metadata", {})
        value = stored[namespace, name] = {"metadata": metadata, **fields}
        return "MODIFIED" if old else "ADDED", value

    def store(self, path, key, value):
        """Store an object that a client sent."""
        with self.lock:
            self.version += 1
            value["metadata"]["resourceVersion"] = str(self.version)
            self.objects.setdefault(path, {})[key] = value
            self._event(path, "MODIFIED", value)

    def delete(self, path, name, namespace=""):
        """Delete an object, and tell the watches."""
        with self.lock:
            self.version += 1
            value = self.objects[path].pop((namespace, name))
            value["metadata"]["resourceVersion"] = str(self.version)
            self._event(path, "DELETED", value)

    def bookmark(self, path):
        """Move the watches of a kind on."""
        with self.lock:
            self.version += 1
            self._event(path, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def _event(self, path, kind, value):
        """Tell the watches that select the object, also those that begin later from an earlier version."""
        line = json.dumps({"type": kind, "object": value}).encode() + b"\n"
        bookmark = kind == "BOOKMARK"
        with self.lock:
            if not bookmark:
                self.history.append((self.version, path, value, line))
            for watched, query, events in self.watches:
                if watched == path and (bookmark or selected(value, query)):
                    events.put(line)
