"""Random pods and profiles whose patches meet them, for a real API server to judge.

Patches are drawn from the schema of a pod: any field that an API server without other
objects can judge, values mostly valid and from small worlds, so that a patch meets what
the pod has. Some patches change a field or two of the spec; others aim at one field, of any
object, which is more often wrong, so that each field of each type is drawn often.
The same seed gives the same pods.
"""

from collections.abc import Collection
from functools import cache
from random import Random
from typing import Any, Final

from tests.admission.reviews.fitting import complete, fit, for_windows
from tests.admission.reviews.randomvalues import (
    LEFT_OUT,
    MEANINGFUL,
    ONE_OF,
    QUANTITIES,
    SIZES,
    UNUSUAL,
    VALUES,
    VOLUMES,
    WRONG_QUANTITIES,
)
from webhook.admission.profiles.podschema import Field, object_types

Json = dict[str, Any]

PRIORITY_CLASSES: Final = {"results-prod": 9500, "results-mid": 7500, "results-batch": 5500}
CONTAINERS: Final = ("main", "agent", "proxy", "init")


@cache
def _parents() -> dict[str, list[tuple[str, str]]]:
    """Return, by type below a pod, the types and fields of objects that hold objects of it."""
    found: dict[str, list[tuple[str, str]]] = {"Pod": []}
    ahead = ["Pod"]
    for parent in ahead:
        for name, field in object_types()[parent].items():
            if field.type in object_types() and name not in LEFT_OUT[parent] | {"ephemeralContainers"}:
                ahead += [field.type] if field.type not in found else []
                found.setdefault(field.type, []).append((parent, name))
    del found["Pod"]
    return found


@cache
def _fields() -> list[tuple[str, str]]:
    """Return the types below a pod with their fields, each as often as the other."""
    return [
        (name, field)
        for name in sorted(_parents())
        for field in object_types()[name]
        if field not in LEFT_OUT[name]
    ]


class RandomPods:
    """Pods and profiles of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._names = list(CONTAINERS)
        self._spec: Json = {"volumes": []}
        # Of most pods, one thing is wrong or none, so that it is seen whatever it is.
        self._careful = self._chance(0.75)
        self._careless = 0.003 if self._careful else 0.03
        self._wrong = self._careless
        # Users of their own are of young rules beside the host's network and block devices.
        self._without = {"hostNetwork", "volumeDevices"} if self._chance(0.15) else {"hostUsers"}

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def pod(self, name: str) -> Json:
        """Return a pod that an API server should take."""
        volumes = self._random.sample(sorted(VOLUMES), self._random.randrange(4))
        spec: Json = {
            "containers": [self._container(each, volumes) for each in self._some([*CONTAINERS[:3]])],
            "volumes": [{"name": each} | VOLUMES[each] for each in volumes],
        }
        if self._chance(0.3):
            init = self._container("init", volumes)
            if self._chance(0.5):
                init["restartPolicy"] = "Always"
            spec["initContainers"] = [init]
        if self._chance(0.2):
            spec["resources"] = {
                section: {"cpu": "64", "memory": "64Gi"} for section in ("requests", "limits")
            }
        self._names = [each["name"] for each in spec["containers"]]
        for field, share, value in (
            ("nodeSelector", 0.15, {"zone": "a"}),
            ("hostNetwork", 0.15, True),
            ("hostIPC", 0.15, True),
            ("hostPID", 0.05, True),
            ("hostUsers", 0.6, False),
            ("shareProcessNamespace", 0.1, True),
            ("restartPolicy", 0.15, "Never"),
            ("terminationGracePeriodSeconds", 0.1, 60),
            ("dnsConfig", 0.1, {"nameservers": ["10.0.0.10", "10.0.0.11"], "searches": ["a.b"]}),
            ("schedulingGates", 0.05, [{"name": "example.com/gate"}]),
            ("os", 0.05, {"name": "linux"}),
            ("setHostnameAsFQDN", 0.05, True),
            ("hostnameOverride", 0.05, "a.b"),
            ("resourceClaims", 0.1, [{"name": "gpu", "resourceClaimName": "c"}]),
            ("tolerations", 0.15, [{"key": "a", "operator": "Exists"}]),
            ("topologySpreadConstraints", 0.15, [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": {"matchLabels": {"app": "web"}}}]),
            ("topologySpreadConstraints", 0.1, [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
                {"maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": {"matchLabels": {"team": "a"}}, "matchLabelKeys": ["team"]}]),
            ("securityContext", 0.15, {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}),
            ("securityContext", 0.1, {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}),
            ("securityContext", 0.1, {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}),
            ("securityContext", 0.05, {"windowsOptions": {"runAsUserName": "u"}}),
        ):  # fmt: skip
            if self._chance(share) and field not in self._without:
                spec[field] = value
        if self._chance(0.06):
            spec = for_windows(spec)
        self._spec = spec
        metadata: Json = {"name": name, "labels": {"app": "web"}, "annotations": {"note": "x"}}
        if self._chance(0.02):
            metadata["annotations"]["large"] = "x" * self._random.choice([262_000, 261_000])
        if self._chance(0.05):
            metadata["annotations"]["container.apparmor.security.beta.kubernetes.io/main"] = (
                "localhost/a.json"
            )
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def profiles(self) -> list[Json]:
        """Return one to three profiles that match every pod."""
        return [
            self._profile(f"profile-{i}")
            for i in range(1 if self._careful else self._random.choice([1, 1, 2, 3]))
        ]

    def _profile(self, name: str) -> Json:
        spec: Json = {}
        if self._chance(0.5):
            spec["priorityClassName"] = self._random.choice(sorted(PRIORITY_CLASSES))
        if self._chance(0.3):
            spec["qosClass"] = self._random.choice(["BE", "LS", "LSR"])
        if self._chance(0.2):
            spec["koordinatorPriority"] = self._likely([5, 0, 100], [-1])
        if self._chance(0.2):
            spec["labels"] = {"team": "a", "zone": "b"}
        if self._chance(0.05):
            spec["annotations"] = self._annotations()
        if self._chance(0.9):
            spec["patch"] = self._patch()
        return {
            "apiVersion": "config.koordinator.sh/v1alpha1",
            "kind": "ClusterColocationProfile",
            "metadata": {"name": name},
            "spec": spec,
        }

    def _patch(self) -> Json:
        """Return a patch; what init containers restart for, younger versions refuse."""
        patch = self._any_patch()
        for each in (patch.get("spec") or {}).get("initContainers") or ():
            each.pop("resizePolicy", None)
        return patch if self._chance(0.1) else complete(patch, self._spec)

    def _any_patch(self) -> Json:
        if self._chance(0.9 if self._careful else 0.3):
            return self._aimed(*self._random.choice(_fields()))
        if self._chance(0.1):
            return {"metadata": self._object("ObjectMeta", 2)}
        spec: Json = {}
        if self._chance(0.6):
            kind = "initContainers" if self._chance(0.1) else "containers"
            spec[kind] = [self._container_patch(kind) for _ in range(self._random.choice([1, 1, 2]))]
        if not spec or self._chance(0.5):
            spec |= self._object(
                "PodSpec", self._random.choice([1, 2]), without={"containers", "initContainers"}
            )
        if self._chance(0.05):
            spec["resources"] = self._resources(["cpu", "memory"])
        return {"spec": spec}

    def _aimed(self, type_name: str, field: str) -> Json:
        """Return a patch of a field of an object of a type, which is often wrong, and of a few others."""
        schema = object_types()[type_name][field]
        if {field, schema.type} & (self._without | {"Container"}) or field == "ephemeralContainers":
            return self._patch()
        if type_name != "PodSpec" and schema.type in ("boolean", *object_types()) and self._chance(0.6):
            return self._patch()  # there is more to be wrong in texts and numbers
        if schema.type not in object_types():
            self._wrong = 0.5
        value = self._value(type_name, field, schema)
        self._wrong = self._careless
        beside = ONE_OF.get(type_name, set()) if field in ONE_OF.get(type_name, ()) else set()
        made = {field: value}
        if type_name == "Container":
            kind = "initContainers" if self._chance(0.2) and field != "resizePolicy" else "containers"
            return {"spec": {kind: [self._container_patch(kind, 1) | made]}}
        without = {field, "containers", "initContainers"} | (beside if self._chance(0.95) else set())
        made = self._object(type_name, self._random.choice([0, 2, 5]), without=without) | made
        made = fit(type_name, made) if self._chance(0.5) else made
        while type_name != "Pod":
            parent, place = self._random.choice(_parents()[type_name])
            if place in self._without:
                return self._patch()
            made, type_name = self._around(parent, place, made), parent
        return made

    def _around(self, parent: str, field: str, value: Json) -> Json:
        """Return an object that holds another one, and of the rest what it must have."""
        schema = object_types()[parent][field]
        made: Any = value
        if schema.container == "[]":
            if schema.merge_key and schema.merge_key not in value:
                value = {schema.merge_key: self._merge_key(schema)} | value
            made = [value]
        if field == "initContainers" and self._chance(0.9):
            made = [value | {"name": "init"}]
        if parent == "Container":
            kind = {"name": self._random.choice(self._names)}
            return kind | ({"image": "busybox"} if self._chance(0.5) else {}) | {field: made}
        others = ONE_OF.get(parent, set())
        rest = {} if parent in ("Pod", "PodSpec") else self._object(parent, 0, without={field} | others)
        return rest | {field: made}

    def _container_patch(self, kind: str, most: int | None = None) -> Json:
        name = self._random.choice(self._names if self._chance(0.8) else CONTAINERS)
        if kind == "initContainers" and self._chance(0.8):
            name = "init"
        without = {"name", "image"} | ({"resizePolicy"} if kind == "initContainers" else set())
        fields = self._object(
            "Container", most or self._random.choice([1, 1, 2, 3]), without=without, complete=False
        )
        if name not in self._names or self._chance(0.2):
            fields["image"] = self._likely(*VALUES["image"])
        if self._chance(0.02):
            fields = {"$patch": "delete"}
        return {"name": name} | fields

    def _container(self, name: str, volumes: list[str]) -> Json:
        made: Json = {"name": name, "image": "busybox"}
        mounted = self._random.choice(volumes) if volumes else None
        if mounted and self._chance(0.6):
            made["volumeMounts"] = [{"name": mounted, "mountPath": "/data"}]
        elif "claim" in volumes and "volumeDevices" not in self._without:
            made["volumeDevices"] = [{"name": "claim", "devicePath": "/dev/a"}]
        if self._chance(0.8):
            names = [name for name in QUANTITIES if name != "hugepages-2Mi" or self._chance(0.08)]
            made["resources"] = self._resources(names)
        if self._chance(0.4):
            made["env"] = [
                {"name": "A", "value": "x"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ]
        if self._chance(0.3):
            made["ports"] = [{"name": "http", "containerPort": 80 + CONTAINERS.index(name)}]
        if name != "init" and self._chance(0.3):
            made["livenessProbe"] = {"httpGet": {"path": "/", "port": 80}}
        if name != "init" and self._chance(0.1):
            made["lifecycle"] = {"preStop": {"sleep": {"seconds": 20}}}
        if name != "init" and self._chance(0.05):
            made["resizePolicy"] = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
        if self._chance(0.2):
            made["securityContext"] = {"allowPrivilegeEscalation": False}
        return made

    def _resources(self, names: list[str]) -> Json:
        made: Json = {"requests": {}, "limits": {}}
        for name in self._some(names):
            quantity = self._random.choice(QUANTITIES[name])
            made["limits"][name] = quantity
            if self._chance(0.7):
                made["requests"][name] = quantity
            if not name.startswith(("hugepages", "example")) and self._chance(0.2):
                del made["limits"][name]
        if any(name.startswith("hugepages") for name in made["limits"]):
            made["limits"].setdefault("cpu", "2")
        return made

    def _annotations(self) -> Json:
        keys = self._random.sample(sorted(MEANINGFUL), self._random.choice([1, 1, 2]))
        return {key: self._random.choice(MEANINGFUL[key]) for key in keys}

    def _some(self, values: list[str]) -> list[str]:
        return self._random.sample(values, self._random.randint(1, len(values)))

    def _object(
        self, type_name: str, most: int, *, without: Collection[str] = (), complete: bool = True
    ) -> Json:
        """Return an object with its required fields, most of the time, and at most so many others."""
        fields = {
            name: field
            for name, field in object_types()[type_name].items()
            if name not in LEFT_OUT[type_name] and name not in without and name not in self._without
        }
        chosen = [
            name
            for name, field in fields.items()
            if complete and field.required and not self._chance(self._careless)
        ]
        one_of = [name for name in ONE_OF.get(type_name, ()) if name in fields and name not in chosen]
        if one_of and not self._chance(3 * self._careless):
            one = [self._random.choice(sorted(one_of))] if not self._chance(self._careless) else []
            chosen += one
        else:
            one_of = []
        others = [name for name in fields if name not in chosen and name not in one_of]
        chosen += self._random.sample(
            others, min(len(others), self._random.randint(0 if chosen else min(1, most), most))
        )
        made = {name: self._value(type_name, name, fields[name]) for name in chosen}
        return made if self._chance(3 * self._careless) else fit(type_name, made)

    def _value(self, type_name: str, name: str, field: Field) -> Any:
        if self._chance(self._careless):
            return None
        if field.container == "[]":
            made = [
                self._single(type_name, name, field) for _ in range(self._random.choice([1, 1, 1, 2, 2, 4]))
            ]
            if field.merge_key is None or self._chance(self._careless):
                return made if not self._chance(self._careless) else []
            by_key = {
                str(each.get(field.merge_key) if isinstance(each, dict) else each): each for each in made
            }
            return [each for key, each in by_key.items() if key != "None"]
        if field.container == "{}":
            return self._map(type_name, name, field)
        return self._single(type_name, name, field)

    def _map(self, type_name: str, name: str, field: Field) -> Json:
        if field.form == "resource":
            if self._chance(self._wrong * 2):
                return dict([self._random.choice(sorted(WRONG_QUANTITIES.items()))])
            return {
                each: self._random.choice([*QUANTITIES[each], "3"]) for each in self._some([*QUANTITIES])[:2]
            }
        if field.type == "quantity":
            return {each: self._random.choice(SIZES[each]) for each in self._some([*SIZES])}
        if (type_name, name) == ("ObjectMeta", "annotations") and self._chance(0.5):
            return self._annotations()
        keys = (
            ["zone", "example.com/a", "a b", "a.kubernetes.io/b"]
            if self._chance(self._wrong)
            else ["zone", "app"]
        )
        return {
            self._random.choice(keys): self._random.choice(
                ["a", "b", "", "x y" if self._chance(self._wrong) else "c"]
            )
        }

    def _merge_key(self, field: Field) -> Any:
        return self._likely(*VALUES.get(f"{field.type}.{field.merge_key}", (["a", "b"], [])))

    def _single(self, type_name: str, name: str, field: Field) -> Any:
        if field.type in object_types():
            made = self._object(field.type, 2, without={field.merge_key or ""})
            if self._chance(0.02) and (field.merge_key or not field.container):
                made = {"$patch": "delete" if field.merge_key else "replace"}
            return ({field.merge_key: self._merge_key(field)} if field.merge_key else {}) | made
        if field.type == "string" and self._chance(self._wrong / 3):
            return ""
        known = next((each for each in (f"{type_name}.{name}", field.form) if each in VALUES), None)
        if known or "|" in field.form:
            return self._likely(*(VALUES[known] if known else (field.form.split("|"), ["junk"])))
        if field.form:
            low, _, high = field.form.partition("..")
            return self._likely([int(low), min(int(low) + 3, int(high))], [int(low) - 1])
        return {
            "boolean": self._chance(0.5),
            "integer": self._likely([1, 2, 5], [0, -1, 2**40]),
            "intstr": 80,
            "quantity": "1",
        }.get(field.type, self._likely(["a", "b"], UNUSUAL))

    def _likely(self, values: list[Any], wrong: list[Any]) -> Any:
        """Return one of the values, rarely a wrong one."""
        return self._random.choice(wrong if wrong and self._chance(self._wrong) else values)
