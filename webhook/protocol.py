"""Names and tables of the colocation protocol: the one place where they stand.

Koordinator defined the protocol (``koordinator.sh``); names under
``colocation-webhook.io/`` are our own. Code, documentation and tests read the
tables from here.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

# --- Labels and annotations of pods -----------------------------------------
LABEL_QOS_CLASS: Final = "koordinator.sh/qosClass"
LABEL_PRIORITY_CLASS: Final = "koordinator.sh/priority-class"
LABEL_PRIORITY: Final = "koordinator.sh/priority"
LABEL_EVICTION_ENABLED: Final = "koordinator.sh/eviction-enabled"
ANNOTATION_EVICTION_POLICY: Final = "koordinator.sh/eviction-policy"
ANNOTATION_EVICTION_PRIORITY: Final = "koordinator.sh/eviction-priority"
ANNOTATION_EXTENDED_RESOURCE_SPEC: Final = "node.koordinator.sh/extended-resource-spec"
ANNOTATION_RESOURCE_SPEC: Final = "scheduling.koordinator.sh/resource-spec"
ANNOTATION_RESOURCE_STATUS: Final = "scheduling.koordinator.sh/resource-status"
ANNOTATION_OOM_SCORE_ADJ: Final = "koordinator.sh/oom-score-adj"  # of a pod: for its processes
ANNOTATION_CPU_BURST: Final = "koordinator.sh/cpuBurst"  # of a pod: how far it may exceed its quota
ANNOTATION_NUMA_TOPOLOGY_SPEC: Final = "scheduling.koordinator.sh/numa-topology-spec"
ANNOTATION_DEVICE_ALLOCATED: Final = "scheduling.koordinator.sh/device-allocated"
ANNOTATION_RESERVATION_ALLOCATED: Final = "scheduling.koordinator.sh/reservation-allocated"
ANNOTATION_RESERVE_POD: Final = "scheduling.koordinator.sh/reserve-pod"
ANNOTATION_LOAD_FACTORS: Final = "scheduling.koordinator.sh/load-estimated-scaling-factors"
ANNOTATION_AFTER_SCHEDULED: Final = "scheduling.koordinator.sh/load-estimated-seconds-after-pod-scheduled"
ANNOTATION_AFTER_INITIALIZED: Final = "scheduling.koordinator.sh/load-estimated-seconds-after-initialized"
ANNOTATION_MIRROR_POD: Final = "kubernetes.io/config.mirror"
# What they name is given to a pod: CPUs, devices, a reservation. A scheduler adds them: a new pod has none.
SCHEDULER_ANNOTATIONS: Final = frozenset(
    {ANNOTATION_RESOURCE_STATUS, ANNOTATION_DEVICE_ALLOCATED, ANNOTATION_RESERVATION_ALLOCATED}
)

# The label of Koordinator's own agent; where it runs, ours stands by.
KOORD_APP: Final = "koord-app"
KOORDLET: Final = "koordlet"

# --- Nodes and their NodeResourceTopology -------------------------------------
ANNOTATION_CPU_TOPOLOGY: Final = "node.koordinator.sh/cpu-topology"
ANNOTATION_POD_CPU_ALLOCS: Final = "node.koordinator.sh/pod-cpu-allocs"
ANNOTATION_CPU_MANAGER_POLICY: Final = "kubelet.koordinator.sh/cpu-manager-policy"
ANNOTATION_NODE_RESERVATION: Final = "node.koordinator.sh/reservation"
ANNOTATION_CPU_SHARED_POOLS: Final = "node.koordinator.sh/cpu-shared-pools"
ANNOTATION_BE_CPU_SHARED_POOLS: Final = "node.koordinator.sh/be-cpu-shared-pools"
ANNOTATION_SYSTEM_QOS: Final = "node.koordinator.sh/system-qos-resource"
ANNOTATION_AMPLIFICATION: Final = "node.koordinator.sh/resource-amplification-ratio"
ANNOTATION_RAW_ALLOCATABLE: Final = "node.koordinator.sh/raw-allocatable"
ANNOTATION_COLOCATION_STRATEGY: Final = "node.koordinator.sh/colocation-strategy"
ANNOTATION_USAGE_THRESHOLDS: Final = "scheduling.koordinator.sh/usage-thresholds"
ANNOTATION_ORIGIN_ALLOCATABLE: Final = "node.koordinator.sh/originExtendedAllocatable"
ANNOTATION_THIRD_PARTY: Final = "node.koordinator.sh/thirdPartyAllocations"
ANNOTATION_CPU_NORMALIZATION_RATIO: Final = "node.koordinator.sh/cpu-normalization-ratio"
LABEL_CPU_RECLAIM_RATIO: Final = "node.koordinator.sh/cpu-reclaim-ratio"
LABEL_MEMORY_RECLAIM_RATIO: Final = "node.koordinator.sh/memory-reclaim-ratio"
LABEL_MID_STATIC_CPU_RATIO: Final = "node.koordinator.sh/mid-static-cpu-reserved-ratio"
LABEL_MID_STATIC_MEMORY_RATIO: Final = "node.koordinator.sh/mid-static-memory-reserved-ratio"
LABEL_NODE_BIND_POLICY: Final = "node.koordinator.sh/cpu-bind-policy"
LABEL_NUMA_STRATEGY: Final = "node.koordinator.sh/numa-allocate-strategy"
LABEL_NUMA_POLICY: Final = "node.koordinator.sh/numa-topology-policy"

TOPOLOGY_API_VERSION: Final = "topology.node.k8s.io/v1alpha1"
TOPOLOGY_RESOURCE: Final = "noderesourcetopologies"
TOPOLOGY_KIND: Final = "NodeResourceTopology"

NODEMETRIC_API_VERSION: Final = "slo.koordinator.sh/v1alpha1"
NODEMETRIC_KIND: Final = "NodeMetric"
NODEMETRIC_RESOURCE: Final = "nodemetrics"
NODESLO_API_VERSION: Final = NODEMETRIC_API_VERSION
NODESLO_KIND: Final = "NodeSLO"
NODESLO_RESOURCE: Final = "nodeslos"
SLO_CONFIGMAP: Final = "slo-controller-config"  # in Koordinator's namespace, koordinator-system

# --- Policies of CPU sets ------------------------------------------------------
POLICY_NONE: Final = "None"
# How a pod's CPUs lie on cores: its resource-spec; with FullPCPUsOnly, a node's label.
POLICY_DEFAULT: Final = "Default"
FULL_PCPUS: Final = "FullPCPUs"
FULL_PCPUS_ONLY: Final = "FullPCPUsOnly"
SPREAD_BY_PCPUS: Final = "SpreadByPCPUs"
CONSTRAINED_BURST: Final = "ConstrainedBurst"  # declared by Koordinator, which gives no CPU set for it
# What a pod shares with no other pod of the same policy.
PCPU_LEVEL: Final = "PCPULevel"
NUMA_NODE_LEVEL: Final = "NUMANodeLevel"
# Which NUMA nodes are filled first.
MOST_ALLOCATED: Final = "MostAllocated"
LEAST_ALLOCATED: Final = "LeastAllocated"
DISTRIBUTE_EVENLY: Final = "DistributeEvenly"  # declared by Koordinator; not built here yet
# On which NUMA nodes a pod may lie, by the names of the kubelet's topology manager.
BEST_EFFORT: Final = "BestEffort"
RESTRICTED: Final = "Restricted"
SINGLE_NUMA_NODE: Final = "SingleNUMANode"
EXCLUSIVE_REQUIRED: Final = "Required"

# --- Annotations of profiles -------------------------------------------------
ANNOTATION_SKIP_UPDATE_RESOURCES: Final = "config.koordinator.sh/skip-update-resources"

# --- Our own -----------------------------------------------------------------
OWN_EXTENSION: Final = "colocation-webhook.io"  # among the extensions of a colocation strategy
OWN_PREFIX: Final = f"{OWN_EXTENSION}/"
ANNOTATION_L3_CACHES: Final = OWN_PREFIX + "l3-caches"  # of a NodeResourceTopology: which CPUs share one
LABEL_IGNORE: Final = OWN_PREFIX + "ignore"
ANNOTATION_CAPACITY: Final = OWN_PREFIX + "batch-capacity"  # of a Node: by what its figures were found
ANNOTATION_PROFILES: Final = OWN_PREFIX + "profiles"
ANNOTATION_PROFILES_SIGNATURE: Final = OWN_PREFIX + "profiles-signature"
ANNOTATION_PROBABILITY_SCOPE: Final = OWN_PREFIX + "probability-scope"

ANNOTATION_WOKEN: Final = OWN_PREFIX + "woken-at"  # of a pod: when a scheduler was made to look at it again
ANNOTATION_AGENT: Final = OWN_PREFIX + "agent"  # of a pod: whether the node agent may write to its cgroups

# On the Secret of managed certificates: how often it was changed by us, and what a person asks for.
ANNOTATION_REVISION: Final = OWN_PREFIX + "revision"
ANNOTATION_ROTATE: Final = OWN_PREFIX + "rotate"
# On the pods of a scheduler: the newest CA that they trust.
ANNOTATION_TRUSTED_CA: Final = OWN_PREFIX + "trusted-ca"
LABEL_CPUSET: Final = OWN_PREFIX + "cpuset"
CPUSET_ENABLED: Final = "enabled"

LEDGER_API_VERSION: Final = "colocation-webhook.io/v1alpha1"
LEDGER_KIND: Final = "NodeCPUAllocation"
LEDGER_RESOURCE: Final = "nodecpuallocations"

EVICTION_API_VERSION: Final = LEDGER_API_VERSION
EVICTION_KIND: Final = "NodeEvictionRequest"
EVICTION_RESOURCE: Final = "nodeevictionrequests"

LABEL_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"

# --- Labels by which Kubernetes' controllers know the pods that they made -----------------
# Source: Kubernetes, the constants of k8s.io/api/apps and k8s.io/api/batch. Only the controllers write them.
LABEL_CONTROLLER_UID: Final = "batch.kubernetes.io/controller-uid"
# Of Deployments; StatefulSets and DaemonSets; DaemonSets; Jobs; Jobs.
_CONTROLLER_LABELS: Final = frozenset(
    {"pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name"}
)
# With the names pod-name; pod-index; controller-uid, job-name, job-completion-index.
_CONTROLLER_PREFIXES: Final = ("statefulset.kubernetes.io/", "apps.kubernetes.io/", "batch.kubernetes.io/")


def set_by_controllers(key: str) -> bool:
    """Whether a label is one that Kubernetes' controllers set on pods, and that nobody else may change."""
    return key in _CONTROLLER_LABELS or key.startswith(_CONTROLLER_PREFIXES)


# --- The custom resource of profiles -----------------------------------------------------
PROFILE_GROUP: Final = "config.koordinator.sh"
PROFILE_VERSION: Final = "v1alpha1"
PROFILE_API_VERSION: Final = f"{PROFILE_GROUP}/{PROFILE_VERSION}"
PROFILE_KIND: Final = "ClusterColocationProfile"
PROFILE_RESOURCE: Final = "clustercolocationprofiles"


class QoSClass(StrEnum):
    """Values of the label ``koordinator.sh/qosClass``."""

    LSE = "LSE"
    LSR = "LSR"
    LS = "LS"
    BE = "BE"
    SYSTEM = "SYSTEM"


QOS_CLASSES: Final = frozenset(str(qos) for qos in QoSClass)


class KubeQoS(StrEnum):
    """Values of a pod's ``status.qosClass``."""

    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = BEST_EFFORT


# What a pod without the label counts as, by status.qosClass.
QOS_OF_KUBERNETES: Final = MappingProxyType(
    {
        str(KubeQoS.GUARANTEED): QoSClass.LSR,
        str(KubeQoS.BURSTABLE): QoSClass.LS,
        str(KubeQoS.BEST_EFFORT): QoSClass.BE,
    }
)


class PriorityBand(NamedTuple):
    """One of Koordinator's priority classes and the values it spans, both ends included."""

    name: str
    value: int
    lowest: int
    highest: int


PROD: Final = "koord-prod"
MID: Final = "koord-mid"
BATCH: Final = "koord-batch"
FREE: Final = "koord-free"

PRIORITY_BANDS: Final = (
    PriorityBand(PROD, 9000, 9000, 9999),
    PriorityBand(MID, 7000, 7000, 7999),
    PriorityBand(BATCH, 5000, 5000, 5999),
    PriorityBand(FREE, 3000, 3000, 3999),
)
PRIORITY_BAND_NAMES: Final = frozenset(band.name for band in PRIORITY_BANDS)

# PriorityClasses that exist although no object was read: Koordinator's four,
# and the two that every API server makes at start (values fixed by Kubernetes).
BUILTIN_PRIORITY_CLASSES: Final = MappingProxyType(
    {band.name: band.value for band in PRIORITY_BANDS}
    | {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
)

# --- Resources ---------------------------------------------------------------
CPU: Final = "cpu"
MEMORY: Final = "memory"
NATIVE_RESOURCES: Final = (CPU, MEMORY)
HUGEPAGES_PREFIX: Final = "hugepages-"
BATCH_CPU: Final = "kubernetes.io/batch-cpu"
BATCH_MEMORY: Final = "kubernetes.io/batch-memory"
MID_CPU: Final = "kubernetes.io/mid-cpu"
MID_MEMORY: Final = "kubernetes.io/mid-memory"
BATCH_RESOURCES: Final = (BATCH_CPU, BATCH_MEMORY)

# What native resources become, by priority class; a class not named keeps them.
# CPU is counted in whole milli-cores, memory in bytes.
TRANSLATION: Final = MappingProxyType(
    {
        BATCH: MappingProxyType({CPU: BATCH_CPU, MEMORY: BATCH_MEMORY}),
        MID: MappingProxyType({CPU: MID_CPU, MEMORY: MID_MEMORY}),
    }
)
COLOCATION_RESOURCES: Final = frozenset(name for table in TRANSLATION.values() for name in table.values())

GPU_PREFIX: Final = "koordinator.sh/gpu"
GPU: Final = "koordinator.sh/gpu"
GPU_CORE: Final = "koordinator.sh/gpu-core"
GPU_MEMORY_RATIO: Final = "koordinator.sh/gpu-memory-ratio"
GPU_SHARED: Final = "koordinator.sh/gpu.shared"


# --- How API servers know us ----------------------------------------------------
USER_AGENT: Final = "colocation-webhook"
"""In their logs."""

# --- Leases by which replicas agree on who acts ---------------------------------
STATUS_LEASE: Final = "colocation-webhook"
CPUSET_LEASE: Final = "colocation-webhook-cpusets"
CAPACITY_LEASE: Final = "colocation-webhook-capacity"
KOORD_MANAGER_LEASE: Final = "koordinator-manager"
"""Koordinator's own controller renews it while it publishes figures."""

CAPACITY_MANAGER: Final = "colocation-webhook-capacity"
"""The field manager of what we publish in the status of nodes, and of NodeSLOs."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""With that name it marks a NodeMetric that we made."""

CERTIFICATE_MANAGER: Final = "colocation-webhook-certificates"
"""The field manager of the ConfigMap with the CA, and of the rollout of who reads it."""

AGENT_MANAGER: Final = "colocation-webhook-agent"
"""The field manager of what an agent publishes about its node."""


# --- QoS class x priority class ----------------------------------------------
class Action(StrEnum):
    """What a validation rule does when a pod breaks it."""

    DENY = "deny"
    WARN = "warn"
    OFF = "off"


NONE: Final = "none"  # a row without a QoS label, a column without a priority class
PRIORITY_COLUMNS: Final = (PROD, MID, BATCH, FREE, NONE)

_OK, _WARN, _DENY = Action.OFF, Action.WARN, Action.DENY
# Rows: the pod's QoS label. Columns: its raw priority class (label, else the
# range of spec.priority, else none).
QOS_PRIORITY_MATRIX: Final = MappingProxyType(
    {
        qos: MappingProxyType(dict(zip(PRIORITY_COLUMNS, row, strict=True)))
        for qos, row in {
            "LSE": (_OK, _DENY, _DENY, _DENY, _DENY),
            "LSR": (_OK, _DENY, _DENY, _DENY, _DENY),
            "LS": (_OK, _OK, _WARN, _WARN, _OK),
            "BE": (_DENY, _OK, _OK, _OK, _WARN),
            "SYSTEM": (_OK, _OK, _OK, _OK, _OK),
            NONE: (_OK, _OK, _OK, _OK, _OK),
        }.items()
    }
)
