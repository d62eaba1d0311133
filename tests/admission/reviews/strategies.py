"""Random labels, selectors, profiles and pods: small worlds, so that they meet."""

from hypothesis import strategies as st

KEYS = ["app", "team", "tier", "spark-role", "koordinator.sh/enable-colocation"]
VALUES = ["web", "etl", "x", "true", ""]
NAMESPACES = ["spark-demo", "web", "ghost"]

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
labels = st.dictionaries(keys, values, max_size=4)

expressions = st.one_of(
    st.builds(
        lambda key, operator, vals: {"key": key, "operator": operator, "values": vals},
        keys,
        st.sampled_from(["In", "NotIn"]),
        st.lists(values, min_size=1, max_size=3),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        keys,
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
selectors = st.one_of(
    st.none(),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "matchLabels": st.dictionaries(keys, values, max_size=2),
            "matchExpressions": st.lists(expressions, max_size=3),
        },
    ),
)
invalid_selectors = st.sampled_from(
    [
        {"matchExpressions": [{"key": "app", "operator": "Equals", "values": ["web"]}]},
        {"matchExpressions": [{"key": "app", "operator": "In"}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["web"]}]},
    ]
)

cpus = st.sampled_from(["1", "500m", "0.25", "1k", "1e-1", "1.0001", 2, 0.5, "1500u", "0"])
memories = st.sampled_from(["1Gi", "512Mi", "1G", "129e6", "1.5Gi", 1073741824, "1181116006400m"])
extended = st.sampled_from(["1", "2", "500", "1k"])
quantities = st.fixed_dictionaries(
    {},
    optional={
        "cpu": cpus,
        "memory": memories,
        "ephemeral-storage": memories,
        "kubernetes.io/batch-cpu": extended,
        "kubernetes.io/batch-memory": memories,
        "kubernetes.io/mid-cpu": extended,
        "example.com/fpga": extended,
    },
)
gpu_quantities = st.fixed_dictionaries(
    {},
    optional={
        "cpu": cpus,
        "koordinator.sh/gpu": st.sampled_from(["50", "100", "200", "250", 300]),
        "koordinator.sh/gpu-core": st.sampled_from(["50", "200"]),
        "koordinator.sh/gpu-memory-ratio": st.sampled_from(["100", "400"]),
        "koordinator.sh/gpu.shared": st.just("1"),
    },
)


def _resources(of: st.SearchStrategy) -> st.SearchStrategy:
    section = st.one_of(st.none(), of)
    return st.one_of(st.none(), st.fixed_dictionaries({}, optional={"requests": section, "limits": section}))


resources = st.one_of(_resources(quantities), _resources(quantities), _resources(gpu_quantities))
environment = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["A", "B", "C"]), "value": values}),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)


def _containers(names: list[str], most: int, least: int = 0, **more: st.SearchStrategy) -> st.SearchStrategy:
    one = st.fixed_dictionaries(
        {"name": st.sampled_from(names)}, optional={"resources": resources, "env": environment, **more}
    )
    return st.lists(one, min_size=least, max_size=most, unique_by=lambda c: c["name"])


pod_level = st.fixed_dictionaries(
    {},
    optional={
        s: st.fixed_dictionaries({}, optional={"cpu": cpus, "memory": memories})
        for s in ("requests", "limits")
    },
)
priorities = st.sampled_from(
    [None, 0, 2999, 3000, 3999, 5000, 5999, 6000, 7000, 7500, 7999, 8999, 9000, 9999, 10000]
)
pod_labels = st.builds(
    lambda base, own: base | own,
    labels,
    st.fixed_dictionaries(
        {},
        optional={
            "koordinator.sh/qosClass": st.sampled_from(["BE", "LS", "LSR", "weird"]),
            "koordinator.sh/priority-class": st.sampled_from(
                ["koord-batch", "koord-mid", "koord-prod", "unknown"]
            ),
            "koordinator.sh/priority": st.just("7"),
        },
    ),
)
annotations = st.fixed_dictionaries(
    {},
    optional={
        "note": values,
        "a/b": values,
        "node.koordinator.sh/extended-resource-spec": st.sampled_from(
            [
                "",
                "{",
                "[]",
                '{"containers":{}}',
                '{"containers":{"main":{"requests":{"kubernetes.io/batch-cpu":"1"}}}}',
            ]
        ),
    },
)
pods = st.builds(
    lambda metadata, spec: {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    st.fixed_dictionaries(
        {"name": st.just("pod-1")},
        optional={
            "labels": st.one_of(st.none(), pod_labels),
            "annotations": st.one_of(st.none(), annotations),
            "finalizers": st.just(["a/x", "b/y"]),
        },
    ),
    st.fixed_dictionaries(
        {"containers": _containers(["main", "sidecar", "agent"], 3, 1), "priority": priorities},
        optional={
            "initContainers": _containers(["init", "mesh"], 2, restartPolicy=st.sampled_from(["Always"])),
            "overhead": st.just({"cpu": "250m", "memory": "120Mi"}),
            "resources": pod_level,
            "nodeSelector": st.dictionaries(st.sampled_from(["disk", "zone"]), values, max_size=2),
            "tolerations": st.lists(st.just({"key": "a", "operator": "Exists"}), max_size=2),
            "volumes": st.lists(
                st.fixed_dictionaries(
                    {"name": st.sampled_from(["data", "scratch"]), "emptyDir": st.just({})}
                ),
                max_size=2,
                unique_by=lambda volume: volume["name"],
            ),
            "preemptionPolicy": st.just("Never"),
        },
    ),
)

_metadata_patches = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(keys, st.one_of(st.none(), values), max_size=3),
        "annotations": st.one_of(
            st.dictionaries(st.sampled_from(["note", "new"]), st.one_of(st.none(), values)),
            st.just({"$patch": "delete"}),
            st.just({"$patch": "replace", "only": "this"}),
        ),
        "finalizers": st.lists(st.sampled_from(["a/x", "c/z"]), max_size=2, unique=True),
        "$deleteFromPrimitiveList/finalizers": st.just(["b/y"]),
    },
)
_environment_patches = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["A", "B", "D", "E"]), "value": st.one_of(st.none(), values)}
        ),
        st.fixed_dictionaries({"name": st.sampled_from(["A", "C"]), "$patch": st.just("delete")}),
    ),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)
_container_patches = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["main", "sidecar", "brand-new"])},
            optional={
                "image": st.just("busybox:2"),
                "env": _environment_patches,
                "$setElementOrder/env": st.permutations(["A", "B", "C", "D", "E"]).map(
                    lambda names: [{"name": name} for name in names]
                ),
                "resources": st.fixed_dictionaries(
                    {},
                    optional={
                        "requests": st.just({"cpu": "1"}),
                        "limits": st.just({"$patch": "replace", "memory": "1Gi"}),
                    },
                ),
            },
        ),
        st.just({"name": "agent", "$patch": "delete"}),
    ),
    max_size=3,
    unique_by=lambda each: each["name"],
)
_spec_patches = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.one_of(
            st.none(),
            st.dictionaries(st.sampled_from(["disk", "pool"]), st.one_of(st.none(), values), max_size=2),
            st.just({"$patch": "replace", "only": "this"}),
            st.just({"$retainKeys": ["disk", "pool"], "pool": "batch"}),
        ),
        "tolerations": st.lists(st.just({"key": "b", "operator": "Exists"}), max_size=1),
        "terminationGracePeriodSeconds": st.just(30),
        "containers": _container_patches,
        "$setElementOrder/containers": st.permutations(["main", "sidecar", "agent", "brand-new"]).map(
            lambda names: [{"name": name} for name in names]
        ),
        "volumes": st.lists(
            st.sampled_from([{"name": "scratch", "emptyDir": {"medium": "Memory"}}, {"$patch": "replace"}]),
            max_size=2,
            unique_by=str,
        ),
    },
)
patches = st.fixed_dictionaries({}, optional={"metadata": _metadata_patches, "spec": _spec_patches})
priority_patches = st.sampled_from(
    [
        {"spec": {"priorityClassName": "koord-mid"}},
        {"spec": {"priorityClassName": "koord-mid", "priority": 7500}},
        {"spec": {"priority": 5500}},
        {"spec": {"priorityClassName": "missing"}},
    ]
)

_profile_specs = st.fixed_dictionaries(
    {},
    optional={
        "selector": st.one_of(selectors, selectors, selectors, invalid_selectors),
        "namespaceSelector": selectors,
        "probability": st.sampled_from([0, "0%", 100, "100%"]),
        "labels": labels,
        "annotations": st.dictionaries(st.sampled_from(["note", "a/b", "c"]), values, max_size=2),
        "labelKeysMapping": st.dictionaries(keys, keys, max_size=2),
        "annotationKeysMapping": st.dictionaries(
            st.sampled_from(["note", "a/b", "c"]), st.sampled_from(["c", "d"]), max_size=2
        ),
        "labelSuffixes": st.dictionaries(keys, st.sampled_from(["-x", "-y", "", "-" + "z" * 61]), max_size=2),
        "schedulerName": st.sampled_from(["koord-scheduler", "default-scheduler"]),
        "qosClass": st.sampled_from(["BE", "BE", "LS", "LSR"]),
        "priorityClassName": st.sampled_from(
            ["koord-batch", "koord-batch", "koord-mid", "koord-prod", "tiny", "missing"]
        ),
        "koordinatorPriority": st.sampled_from([0, 1000, -5]),
        "patch": st.one_of(patches, patches, patches, priority_patches),
    },
)
profiles = st.lists(
    st.builds(
        lambda name, spec, skip: {
            "apiVersion": "config.koordinator.sh/v1alpha1",
            "kind": "ClusterColocationProfile",
            "metadata": {"name": name}
            | ({"annotations": {"config.koordinator.sh/skip-update-resources": ""}} if skip else {}),
            "spec": spec,
        },
        st.sampled_from(["a", "b", "c", "d"]),
        _profile_specs,
        st.sampled_from([False, False, False, False, True]),
    ),
    max_size=3,
    unique_by=lambda profile: profile["metadata"]["name"],
)
namespaces = st.lists(
    st.builds(
        lambda name, own: {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": own},
        },
        st.sampled_from(NAMESPACES[:2]),
        labels,
    ),
    max_size=2,
    unique_by=lambda each: each["metadata"]["name"],
)
classes = st.just(
    [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "tiny"},
            "value": 10,
            "preemptionPolicy": "Never",
        }
    ]
)
clusters = st.builds(lambda *parts: [each for part in parts for each in part], profiles, namespaces, classes)
