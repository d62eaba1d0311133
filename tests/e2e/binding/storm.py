"""Five hundred pods of all classes onto eight nodes, while what binds them is killed and restarted.

Controllers and kube-scheduler do most of it; some pods are bound by the storm itself, several at once. Pods
are deleted, resized and come to their end meanwhile, CPUs go offline and come back, a kubelet pins some,
ledgers are deleted, and a policy refuses patches of some pods. The checker looks on at random moments.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, Self

from tests.cpusetchecker.rules import Violation, at_every_moment
from tests.e2e.binding import disturbance
from tests.e2e.binding.looker import Looker
from tests.e2e.binding.pods import NOBODY, any_template, binding, deployment, job, pod
from tests.e2e.cluster.apiclient import MERGE_PATCH, NOW, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Object
from tests.e2e.release.replicas import Replica
from tests.e2e.release.service import Service

DEPLOYMENTS, REPLICAS = 10, 15
JOBS, COMPLETIONS = 5, 16
BARE = 170
ROUNDS, AT_ONCE = 20, 5
PODS = DEPLOYMENTS * REPLICAS + JOBS * COMPLETIONS + BARE + ROUNDS * AT_ONCE
"""Of a whole storm."""
SECONDS = 25.0
"""Over which pods are created."""
DISTURBANCES = (
    (disturbance.resize, 10),
    (disturbance.delete_ledger, 2),
    (disturbance.take_offline, 3),
    (disturbance.pin, 3),
)
"""What is done, and how often as compared with the others."""

_PATIENCE = 90.0
_AWAY = frozenset({429, *range(500, 600)})


class Bound(NamedTuple):
    """What became of a Binding that the storm posted itself."""

    trick: str
    node: str
    code: int
    message: str


class Storm:
    """One storm in two namespaces: one that opted in, one that did not."""

    def __init__(  # noqa: PLR0913 — the stage, and two choices
        self,
        control_plane: ControlPlane,
        service: Service,
        looker: Looker,
        nodes: Sequence[FakeNode],
        namespaces: tuple[str, str],
        seed: int,
        *,
        scheduler: str = "default-scheduler",
        size: float = 1.0,
    ) -> None:
        """Take the stage; nothing happens yet. ``seed`` decides what is decided by dice.

        ``scheduler``: what most pods name. ``size``: the part of a whole storm, in pods and in seconds.
        """
        self.violations: list[Violation] = []
        self.looks = 0
        self.bound: list[Bound] = []
        self.done: Counter[str] = Counter()
        self._control_plane = control_plane
        self._calls = looker.calls
        self._service = service
        self._looker = looker
        self._nodes = nodes
        self._inside, self._outside = namespaces
        self._pool = self._inside
        self._seed = seed
        self._scheduler = scheduler
        self._size = size
        self._seconds = SECONDS * size
        self._calm = threading.Event()
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Raise it; returns when all pods are made and everything has been restarted that shall be."""
        disturbance.refuse_patches(self._calls, Random(f"{self._seed} refusals"), self._inside)
        makers = [self._begin(each) for each in (self._create, self._bind, self._break, self._disturb)]
        self._threads = [self._begin(each) for each in (self._live, self._watch)]
        for thread in makers:
            thread.join()
        self._calm.set()
        for path in disturbance.refusals(self._inside):
            self._patiently("DELETE", path, None)
        if self._errors:
            self._end()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking on, too; raises what went wrong in the storm's own threads."""
        self._end()

    def _end(self) -> None:
        self._calm.set()
        for path in disturbance.refusals(self._inside):
            self._patiently("DELETE", path, None)
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _begin(self, work: Callable[..., None], *given: Any) -> threading.Thread:
        """Do something in a thread of its own; without anything given, with dice."""

        def run() -> None:
            try:
                work(*(given or [Random(f"{self._seed} {work.__name__}")]))
            except BaseException as error:  # raised again by the thread that waits
                self._errors.append(error)
                self._calm.set()
            finally:
                self._calls.close()

        thread = threading.Thread(target=run, name=work.__name__, daemon=True)
        thread.start()
        return thread

    def _create(self, dice: Random) -> None:
        """Pods by controllers and bare ones, for kube-scheduler, mixed."""
        made: list[tuple[str, Object]] = []
        some = lambda: any_template(dice, self._pool, schedulerName=self._scheduler)  # noqa: E731 — thrice
        for number in range(self._part(DEPLOYMENTS)):
            what = deployment(f"deployment-{number}", REPLICAS, some())
            made.append(("/apis/apps/v1/namespaces/{}/deployments", what))
        for number in range(self._part(JOBS)):
            what = job(f"job-{number}", COMPLETIONS, some())
            made.append(("/apis/batch/v1/namespaces/{}/jobs", what))
        for number in range(self._part(BARE)):
            what = pod(f"bare-{number}", some())
            made.append(("/api/v1/namespaces/{}/pods", what))
        dice.shuffle(made)
        for path, what in made:
            inside = dice.random() < 0.93
            self._make(path.format(self._inside if inside else self._outside), what)
            time.sleep(self._seconds / len(made))

    def _bind(self, dice: Random) -> None:
        """Bindings of the storm's own: several at once for one node, resizes between two, some that fail."""
        tricks = ("together", "resized", "twice", "two nodes", "stale", "deleted", "reborn")
        rounds = self._part(ROUNDS)
        for number, trick in zip(range(rounds), itertools.cycle(tricks), strict=False):
            pods = []
            for index in range(AT_ONCE):
                name = f"direct-{number}-{index}"
                made = pod(name, any_template(dice, self._pool, schedulerName=NOBODY))
                self._make(f"/api/v1/namespaces/{self._inside}/pods", made)
                pods.append(made)
            node, other = (each.name for each in dice.sample(self._nodes[:-1], 2))
            starts: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
            for made in pods:
                name = made["metadata"]["name"]
                if trick == "reborn":
                    starts.append((self._reborn, (made, trick, node)))
                    continue
                if trick == "deleted":
                    starts.append((self._delete, (name,)))
                starts.append((self._post, (trick, name, node)))
                if trick in {"twice", "two nodes"}:
                    starts.append((self._post, (trick, name, node if trick == "twice" else other)))
                if trick == "resized":
                    starts.append((self._resized, (made, trick, node)))
            for each in [self._begin(act, *given) for act, given in starts]:
                each.join()
            if trick == "stale" and dice.random() < 0.5:
                for made in pods:
                    to = dice.choice((node, other))
                    if dice.random() < 0.5:
                        self._resized(made, "stale", to)
                    else:
                        self._post("stale, again", made["metadata"]["name"], to)
            time.sleep(self._seconds / rounds)

    def _reborn(self, made: Object, trick: str, node: str) -> None:
        """Another pod of the same name, bound before anybody has heard of it."""
        self._delete(made["metadata"]["name"])
        self._make(f"/api/v1/namespaces/{self._inside}/pods", made)
        self._post(trick, made["metadata"]["name"], node)

    def _resized(self, made: Object, trick: str, node: str) -> None:
        """A pod that has been bound a moment before, or is about to be, is resized and bound again."""
        name = made["metadata"]["name"]
        dice = Random(f"{self._seed} resize of {name}")
        time.sleep(dice.random() * 0.05)
        if disturbance.may_have_set(made):
            there = {"metadata": {"namespace": self._inside, "name": name}}
            with contextlib.suppress(OSError):
                self.done[disturbance.resize(self._calls, dice, there)] += 1
        self._post(f"{trick}, again", name, node)

    def _post(self, trick: str, name: str, node: str) -> None:
        """One Binding, once: a scheduler would not insist either."""
        # The API server compares it when the webhook has answered already.
        stale = {"resourceVersion": "1"} if trick == "stale" else {}
        path = f"/api/v1/namespaces/{self._inside}/pods/{name}/binding"
        try:
            code, body = self._calls.call("POST", path, binding(name, node, **stale))
        except OSError as error:
            code, body = 0, json.dumps({"message": repr(error)})
        self.bound.append(Bound(trick, node, code, "" if code == 201 else message(body)))

    def _break(self, dice: Random) -> None:
        """Kill a replica, later both, which are started again as containers are; restart the API server."""
        time.sleep(self._seconds * 0.2)
        self._kill([dice.choice(self._service.replicas)])
        time.sleep(self._seconds * 0.2)
        # For a while no binding is reviewed, and nobody remembers a ledger that is deleted.
        self._kill(self._service.replicas)
        time.sleep(self._seconds * 0.2)
        try:
            self._control_plane.stop_apiserver()
            time.sleep(dice.random() * 2)
        finally:
            self._control_plane.start_apiserver()
        self.done["API server restarts"] += 1
        self._service.kubelet.wait_until_backends()

    def _kill(self, replicas: Sequence[Replica]) -> None:
        for replica in replicas:
            replica.kill()
            self.done["replicas killed"] += 1

    def _disturb(self, dice: Random) -> None:
        """Resizes, and what happens to machines and ledgers, until all pods are made."""
        ends = time.monotonic() + self._seconds
        while time.monotonic() < ends and not self._calm.wait(0.1):
            with contextlib.suppress(OSError):
                (act,) = dice.choices(*zip(*DISTURBANCES, strict=True))
                if act is disturbance.resize:
                    pods = [each for each in self._looker.pods() if disturbance.may_have_set(each)]
                    what = dice.choice(pods) if pods else None
                else:
                    what = dice.choice(self._nodes)
                if what is not None:
                    self.done[act(self._calls, dice, what)] += 1

    def _live(self, dice: Random) -> None:
        """What users and kubelets do to pods that exist: delete them, end them, confirm their end."""
        while not self._over.wait(0.3):
            try:
                pods = [each for each in self._looker.pods() if self._mine(each)]
            except OSError:
                continue
            for each in pods:
                if "deletionTimestamp" in each["metadata"] and each["spec"].get("nodeName"):
                    self._delete(each["metadata"]["name"], each["metadata"]["namespace"])
            if not self._calm.is_set() and pods:
                self._change(dice, dice.choice(pods))

    def _change(self, dice: Random, chosen: Object) -> None:
        """Delete a pod, or let it come to its end if it runs and nobody would make another."""
        name, namespace = chosen["metadata"]["name"], chosen["metadata"]["namespace"]
        if (
            name.startswith(("bare", "direct", "job"))
            and chosen["spec"].get("nodeName")
            and dice.random() < 0.6
        ):
            phase = {"status": {"phase": dice.choice(("Succeeded", "Succeeded", "Failed"))}}
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
            code, _ = self._patiently("PATCH", path, phase, content_type=MERGE_PATCH)
            self.done["finished"] += code == 200
        else:
            self._delete(name, namespace)
            self.done["deleted"] += 1

    def _watch(self, dice: Random) -> None:
        """Look at random moments; what must never be is kept."""
        while not self._over.wait(dice.random() * 1.2):
            try:
                seen = self._looker.look()._replace(steady=False)
            except OSError:
                continue
            self.looks += 1
            self.violations += at_every_moment(seen)

    def _part(self, number: int) -> int:
        return max(1, round(number * self._size))

    def _mine(self, each: Object) -> bool:
        return each["metadata"]["namespace"] in {self._inside, self._outside}

    def _make(self, path: str, what: Object) -> None:
        code, body = self._patiently("POST", path, what)
        # Stored already: the answer to an earlier call was lost.
        assert code in {201, 409}, message(body)

    def _delete(self, name: str, namespace: str = "") -> None:
        self._patiently("DELETE", f"/api/v1/namespaces/{namespace or self._inside}/pods/{name}", NOW)

    def _patiently(self, method: str, path: str, body: Object | None, **more: str) -> tuple[int, str]:
        """Call until the API server answers for itself, and its webhooks are there."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                code, answer = self._calls.call(method, path, body, **more)
            except OSError as error:
                code, answer = 503, repr(error)
            if code not in _AWAY:
                return code, answer
            assert time.monotonic() < deadline, f"{method} {path}: {code}: {answer}"
            time.sleep(0.2)
