"""The requests that the small API server understands, and what it answers."""

import contextlib
import json
import queue
import re
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

from tests.kube.fakechanges import Refused, apply_keys, apply_parts, json_patch, merge_patch

END = object()


def selected(value, query):
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


class FakeRequests(BaseHTTPRequestHandler):
    """One connection; ``api``: the FakeApi that it is of."""

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
        """One object, a list or a watch."""
        path, query = self._target()
        api = self.api
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
        """A new object."""
        path, _ = self._target()
        body = self._received("POST", path)
        if body is None:
            return
        if path.endswith("/eviction"):
            self._evict(path.removesuffix("/eviction"), body)
            return
        parent, (namespace, _) = _place(f"{path}/new", self.api.objects)
        key = (namespace, body["metadata"]["name"])
        with self.api.lock:
            if key in self.api.objects.get(parent, {}):
                self._answer(409, {"kind": "Status", "reason": "AlreadyExists"})
                return
            body["metadata"].setdefault("uid", f"object-{self.api.version}")
            self.api.store(parent, key, body)
        self._answer(201, body)

    def _evict(self, path, body):
        """Let a pod go at once, unless a budget protects it or another one has its name."""
        parent, key = _place(path, self.api.objects)
        with self.api.lock:
            old = self.api.objects[parent].get(key)
            if old is None:
                self._answer(404, {"kind": "Status", "reason": "NotFound"})
            elif body["deleteOptions"]["preconditions"]["uid"] != old["metadata"]["uid"]:
                self._answer(409, {"kind": "Status", "reason": "Conflict"})
            elif key[1] in self.api.protected:
                self._answer(429, {"kind": "Status", "message": "Cannot evict pod: disruption budget"})
            else:
                self.api.delete(parent, key[1], key[0])
                self._answer(201, {"kind": "Status", "status": "Success"})

    def do_PUT(self):
        """Another state, made from the one that is there."""
        path, _ = self._target()
        self._change("PUT", path, _replaced)

    def do_DELETE(self):
        """An object goes."""
        path, _ = self._target()
        self._change("DELETE", path, _deleted)

    def do_PATCH(self):
        """A patch or an apply, of an object or its status."""
        path, query = self._target()
        form, manager = self.headers["Content-Type"], query.get("fieldManager")
        if form == "application/json-patch+json":
            self._change("PATCH", path, json_patch)
        elif form != "application/apply-patch+yaml":
            self._change("PATCH", path, merge_patch)
        elif path.startswith("/api/v1/nodes/"):
            self._change("PATCH", path, lambda old, body: apply_keys(old, body, manager))
        else:
            status = path.endswith("/status")
            self._change(
                "PATCH",
                path,
                lambda old, body: apply_parts(old, body, manager, status=status),
                creates=not status,
            )

    def _change(self, method, path, make, *, creates=False):
        """Answer a change: what ``make`` says of the old object and the body is there from now on."""
        body = self._received(method, path)
        if body is None:
            return
        api, place = self.api, path.removesuffix("/status")
        parent, key = _place(place, api.objects)
        with api.lock:
            old = api.objects.get(parent, {}).get(key)
            if old is None and creates and parent in api.objects:
                old = {"metadata": {"uid": f"object-{api.version}"} | body["metadata"]}
            try:
                if old is None:
                    raise Refused(404, "NotFound")  # noqa: TRY301 — one way out
                made = make(old, body)
                if place != path and not api.keeps_status:
                    made = old
            except Refused as refused:
                self._answer(refused.status, refused.body)
                return
            if made is None:
                api.delete(parent, key[1], key[0])
            elif made is not old:
                api.store(parent, key, made)
        self._answer(200, {"kind": "Status", "status": "Success"} if made is None else made)

    def _target(self):
        parts = urllib.parse.urlsplit(self.path)
        return parts.path, dict(urllib.parse.parse_qsl(parts.query))

    def _received(self, method, path):
        """The body of a request, which is counted; None: it failed as a test wanted it."""
        self._count(method, path, {})
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return None if self._failed(path, method) else body

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

    def _list(self, path, query):
        with self.api.lock:
            items = sorted(i for i in self.api.objects[path].items() if selected(i[1], query))
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
            for version, changed, value, line in api.history:
                if version > since and changed == path and selected(value, query):
                    events.put(line)
            entry = (path, query, events)
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


def _replaced(old, body):
    if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
        raise Refused(409, "Conflict")
    return body


def _deleted(old, body):
    if body.get("preconditions", {}).get("uid") not in {None, old["metadata"].get("uid")}:
        raise Refused(409, "Conflict")
