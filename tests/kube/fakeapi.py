"""A small API server on loopback that lists, watches and stores, and fails in the ways a real one does."""

import contextlib
import json
import queue
import re
import threading
import time
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonpatch

from webhook.kube.access import Access
from webhook.kube.client import Client

NAMESPACES = "/api/v1/namespaces"
PROFILES = "/apis/config.koordinator.sh/v1alpha1/clustercolocationprofiles"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
LIMIT_RANGES = "/api/v1/limitranges"
QUOTAS = "/api/v1/resourcequotas"
NODES = "/api/v1/nodes"
OWNED_MAPS = (("metadata", "annotations"), ("status", "capacity"), ("status", "allocatable"))
COLLECTIONS = (NAMESPACES, PROFILES, CLASSES, LIMIT_RANGES, QUOTAS)
END = object()


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
        self.keeps_status = True
        self.applied = {}
        self.date = None
        self.closes = False
        self.lock = threading.RLock()
        self.watches = []
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

        class Handler(_Handler):
            api = fake

        self.server = _Server(("127.0.0.1", self.port), Handler)
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
            self.version += 1
            stored = self.objects.setdefault(path, {})
            old = stored.get((namespace, name))
            metadata = {"name": name, "resourceVersion": str(self.version)}
            metadata["generation"] = (old or {}).get("metadata", {}).get("generation", 0) + 1
            if namespace:
                metadata["namespace"] = namespace
            metadata |= fields.pop("metadata", {})
            stored[namespace, name] = {"metadata": metadata, **fields}
            self._event(path, "MODIFIED" if old else "ADDED", stored[namespace, name])

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

    def quietly(self, path, name, **fields):
        """Make an object of which no watch hears."""
        watches, self.watches = self.watches, []
        try:
            self.put(path, name, **fields)
        finally:
            self.watches = watches

    def bookmark(self, path):
        """Move the watches of a kind on."""
        with self.lock:
            self.version += 1
            self._event(path, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def _event(self, path, kind, value):
        self.tell(json.dumps({"type": kind, "object": value}).encode() + b"\n", path)


def _selected(value, query):
    """Whether a field selector takes an object; of two fields that is understood, others take all."""
    field, _, wanted = query.get("fieldSelector", "").partition("=")
    if field not in {"metadata.name", "spec.nodeName"}:
        return True
    part, _, name = field.partition(".")
    return value.get(part, {}).get(name, "") == wanted


def _place(path, known):
    """The collection of an object's path, and its key there: that of all namespaces, where there is one."""
    parent, _, name = path.rpartition("/")
    found = re.fullmatch(r"(/api/v1|/apis/[^/]+/[^/]+)/namespaces/([^/]+)/([^/]+)", parent)
    if found and f"{found[1]}/{found[3]}" in known:
        return f"{found[1]}/{found[3]}", (found[2], name)
    return parent, ("", name)


def _leaves(fields, depth=0):
    """How many fields an entry of managedFields has; those of maps are at the third level."""
    return len(fields) if depth == 2 else sum(_leaves(each, depth + 1) for each in fields.values())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def _owns(entry, part):
    """Whether an entry of managedFields has a part of the object; one that does not say has its spec."""
    return f"f:{part}" in entry.get("fieldsV1", {"f:spec": {}})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer of two packets would wait for the first one's acknowledgement
    api = None

    def send_response(self, code, message=None):
        """Say the time only where the test tells it."""
        self.send_response_only(code, message)
        if self.api.date is not None:
            self.send_header("Date", self.api.date)

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        path, api = parts.path, self.api
        watching = query.get("watch") == "1"
        self._count("WATCH" if watching else "GET", path, query)
        if self._failed(path, "WATCH" if watching else "GET"):
            return
        if watching:
            self._watch(path, query)
            return
        parent, key = _place(path, api.objects)
        if path in api.objects:
            self._list(path, query)
        elif key in api.objects.get(parent, {}):
            self._answer(200, api.objects[parent][key])
        else:
            self._answer(404, {"kind": "Status", "message": f"{path} not found", "reason": "NotFound"})

    def do_POST(self):
        self._count("POST", self.path, {})
        body = self._body()
        if self._failed(self.path, "POST"):
            return
        parent, (namespace, _) = _place(f"{self.path}/new", self.api.objects)
        key = (namespace, body["metadata"]["name"])
        with self.api.lock:
            if key in self.api.objects.get(parent, {}) and parent not in COLLECTIONS:
                self._answer(409, {"kind": "Status", "reason": "AlreadyExists"})
                return
            body["metadata"].setdefault("uid", f"object-{self.api.version}")
            self.api.store(parent, key, body)
        self._answer(201, body)

    def do_PUT(self):
        self._count("PUT", self.path, {})
        body = self._body()
        if self._failed(self.path, "PUT"):
            return
        parent, key = _place(self.path, self.api.objects)
        with self.api.lock:
            old = self.api.objects.get(parent, {}).get(key)
            if old is None:
                self._answer(404, {"kind": "Status", "reason": "NotFound"})
                return
            if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                self._answer(409, {"kind": "Status", "reason": "Conflict"})
                return
            self.api.store(parent, key, body)
        self._answer(200, body)

    def do_PATCH(self):
        self.path, _, query = self.path.partition("?")
        self._count("PATCH", self.path, {})
        body = self._body()
        if self._failed(self.path, "PATCH"):
            return
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            if self.path.startswith("/api/v1/nodes/"):
                self._apply(body, dict(urllib.parse.parse_qsl(query)))
            else:
                self._apply_parts(body, dict(urllib.parse.parse_qsl(query))["fieldManager"])
            return
        if self.headers["Content-Type"] == "application/json-patch+json":
            self._json_patch(body)
            return
        if not self.path.endswith("/status"):
            self._merge(body)
            return
        parent, name, _ = self.path.rsplit("/", 2)
        value = json.loads(json.dumps(self.api.objects[parent]["", name]))
        known = value["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", known) != known:
            self._answer(409, {"kind": "Status", "reason": "Conflict"})
            return
        if parent == NODES:
            self._remove(value, body)
            return
        if self.api.keeps_status:
            value["status"] = {**value.get("status", {}), **body["status"]}
            self.api.store(parent, ("", name), value)
        self._answer(200, value)

    def _remove(self, value, body):
        """A merge patch of a node's status that deletes keys of maps; who owned them owns them no more."""
        if body["metadata"].get("uid", value["metadata"].get("uid")) != value["metadata"].get("uid"):
            self._answer(409, {"kind": "Status", "reason": "Conflict"})
            return
        for path in OWNED_MAPS:
            for key, new in body.get(path[0], {}).get(path[1], {}).items():
                assert new is None
                value[path[0]][path[1]].pop(key, None)
                for entry in value["metadata"].get("managedFields", ()):
                    fields = entry.get("fieldsV1", {}).get(f"f:{path[0]}", {})
                    fields.get(f"f:{path[1]}", {}).pop(f"f:{key}", None)
        value["metadata"]["managedFields"] = [
            each for each in value["metadata"].get("managedFields", ()) if _leaves(each.get("fieldsV1", {}))
        ]
        self.api.store(NODES, ("", value["metadata"]["name"]), value)
        self._answer(200, value)

    def do_DELETE(self):
        self._count("DELETE", self.path, {})
        body = self._body()
        if self._failed(self.path, "DELETE"):
            return
        parent, key = _place(self.path, self.api.objects)
        with self.api.lock:
            old = self.api.objects.get(parent, {}).get(key)
            if old is None:
                self._answer(404, {"kind": "Status", "reason": "NotFound"})
                return
            if body.get("preconditions", {}).get("uid") not in {None, old["metadata"].get("uid")}:
                self._answer(409, {"kind": "Status", "reason": "Conflict"})
                return
            self.api.delete(parent, key[1], key[0])
        self._answer(200, {"kind": "Status", "status": "Success"})

    def _apply(self, body, query):
        """A server-side apply of maps in metadata and status: what the manager left out now goes."""
        manager = query["fieldManager"]
        parent, name, _ = self.path.rsplit("/", 2)
        with self.api.lock:
            old = self.api.objects.get(parent, {}).get(("", name))
            if old is None:
                self._answer(404, {"kind": "Status", "reason": "NotFound"})
                return
            value = json.loads(json.dumps(old))
            before = self.api.applied.pop((parent, name, manager), {})
            others = [
                each for each in value["metadata"].get("managedFields", ()) if each["manager"] != manager
            ]
            fields = {}
            for path in OWNED_MAPS:
                left, given = (each.get(path[0], {}).get(path[1], {}) for each in (before, body))
                there = value.setdefault(path[0], {}).setdefault(path[1], {})
                for key in left:
                    there.pop(key, None)
                there.update(given)
                if given:
                    fields.setdefault(f"f:{path[0]}", {})[f"f:{path[1]}"] = {f"f:{key}": {} for key in given}
                elif left and f"f:{path[1]}" not in json.dumps(others):
                    del value[path[0]][path[1]]  # as the real one does: nobody owns a key of it
            if fields:
                self.api.applied[parent, name, manager] = body
            entry = {"manager": manager, "fieldsV1": fields}
            value["metadata"]["managedFields"] = [*others, *([entry] if fields else [])]
            self.api.store(parent, ("", name), value)
        self._answer(200, value)

    def _apply_parts(self, body, manager):
        """A server-side apply of an object's parts, or of its status; another one's part is a conflict.

        What the manager applied before and leaves out now goes, unless it is another's, too.
        """
        place, of_status, _ = self.path.partition("/status")
        parent, key = _place(place, self.api.objects)
        named = {"apiVersion", "kind"} | ({"metadata"} if body["metadata"].keys() <= {"name"} else set())
        parts = {"status"} if of_status else body.keys() - named
        with self.api.lock:
            old = self.api.objects.get(parent, {}).get(key)
            if parent not in self.api.objects or (old is None and of_status):
                self._answer(404, {"kind": "Status", "reason": "NotFound"})
                return
            value = json.loads(json.dumps(old or {"metadata": {"uid": f"object-{self.api.version}"}}))
            managers = value["metadata"].get("managedFields", [])
            others = [each for each in managers if each["manager"] != manager]
            for part in parts:
                whose = [each["manager"] for each in others if _owns(each, part)]
                if whose and (part == "metadata" or value.get(part) != body[part]):
                    message = f'Apply failed with 1 conflict: conflict with "{whose[0]}": .{part}'
                    self._answer(409, {"kind": "Status", "reason": "Conflict", "message": message})
                    return
            before = {part for each in managers if each not in others for part in each.get("fieldsV1", {})}
            for part in {name.removeprefix("f:") for name in before} - parts - {"metadata", "status"}:
                if not any(_owns(each, part) for each in others):
                    value.pop(part, None)
            ours = {"manager": manager, "operation": "Apply", "fieldsV1": {f"f:{part}": {} for part in parts}}
            metadata = value["metadata"] | ({} if of_status else body["metadata"])
            value |= {part: body[part] for part in parts}
            value["metadata"] = metadata | {"managedFields": [*others, *([ours] if parts else [])]}
            self.api.store(parent, key, value)
        self._answer(200, value)

    def _json_patch(self, operations):
        """As the API server does: a ``test`` that does not hold is a 422, and nothing changes."""
        parent, key = _place(self.path, self.api.objects)
        with self.api.lock:
            try:
                value = jsonpatch.apply_patch(self.api.objects[parent][key], operations)
            except (KeyError, jsonpatch.JsonPatchException):
                self._answer(422, {"kind": "Status", "reason": "Invalid"})
                return
            self.api.store(parent, key, value)
        self._answer(200, value)

    def _merge(self, body):
        """A merge patch of metadata, with its preconditions."""
        parent, key = _place(self.path, self.api.objects)
        old = self.api.objects.get(parent, {}).get(key)
        if old is None:
            self._answer(404, {"kind": "Status", "reason": "NotFound"})
            return
        value = json.loads(json.dumps(old))
        change = dict(body.get("metadata", {}))
        for name in ("uid", "resourceVersion"):
            if change.pop(name, value["metadata"][name]) != value["metadata"][name]:
                self._answer(409, {"kind": "Status", "reason": "Conflict"})
                return
        for name, map_of in change.items():
            value["metadata"][name] = {**value["metadata"].get(name, {}), **map_of}
        self.api.store(parent, key, {**value, **{k: v for k, v in body.items() if k != "metadata"}})
        self._answer(200, value)

    def _count(self, method, path, query):
        with self.api.lock:
            self.api.requests[method, path] += 1
            self.api.queries.append((path, query))
            self.api.tokens.append(self.headers.get("Authorization"))
        time.sleep(self.api.lag)

    def _failed(self, path, method):
        waiting = self.api.failures.get((method, path))
        if not waiting:
            return False
        status, body = waiting.pop(0)
        if status == 0:
            self.close_connection = True
            return True
        self._answer(status, body)
        return True

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _list(self, path, query):
        with self.api.lock:
            items = sorted(i for i in self.api.objects[path].items() if _selected(i[1], query))
            version = str(self.api.version)
        start = int(query.get("continue", 0))
        end = start + int(query.get("limit", len(items) or 1))
        metadata = {"resourceVersion": version} | ({"continue": str(end)} if end < len(items) else {})
        self._answer(200, {"metadata": metadata, "items": [item for _, item in items[start:end]]})

    def _answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.api.late.pop((self.command, self.path.partition("?")[0]), lambda: None)()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = self.close_connection or self.api.closes

    def _watch(self, path, query):
        api = self.api
        since = int(query["resourceVersion"])
        events = queue.Queue()
        with api.lock:
            if since < api.oldest:
                self._answer(410, {"kind": "Status", "reason": "Expired", "message": "too old"})
                return
            for value in api.objects[path].values():
                if _selected(value, query) and int(value["metadata"]["resourceVersion"]) > since:
                    events.put(json.dumps({"type": "ADDED", "object": value}).encode() + b"\n")
            entry = (path, since, events)
            api.watches.append(entry)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            with contextlib.suppress(OSError):
                while (event := events.get()) is not END:
                    if not api.mute:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                        self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
        finally:
            with api.lock:
                api.watches.remove(entry)
            self.close_connection = True
