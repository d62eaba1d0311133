"""What random patches write, and what they leave out: values by field and by form."""

from typing import Any, Final

from webhook.admission.profiles.podschema import object_types

Json = dict[str, Any]

VOLUMES: Final[dict[str, Json]] = {
    "data": {"emptyDir": {}},
    "config": {"configMap": {"name": "c"}},
    "secret": {"secret": {"secretName": "s"}},
    "host": {"hostPath": {"path": "/x", "type": "Directory"}},
    "figures": {
        "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]},
    },
    "both": {"projected": {"sources": [{"configMap": {"name": "c"}}]}},
    "claim": {"persistentVolumeClaim": {"claimName": "c"}},
    "made": {
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            }
        }
    },
    "iscsi": {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:a", "lun": 1}},
    "azure": {"azureDisk": {"diskName": "d", "diskURI": "https://x/y"}},
    "fibre": {"fc": {"targetWWNs": ["5"], "lun": 1}},
}
# What other objects of the cluster, other admission plugins or the cluster's policy decide.
OTHERS: Final = {
    "PodSpec": {
        "overhead", "preemptionPolicy", "priority", "priorityClassName", "runtimeClassName", "serviceAccount",
        "serviceAccountName",
    },
}  # fmt: skip
# What the API server sets, and a patch may not.
IDENTITY: Final = {
    "Pod": {"apiVersion", "kind"},
    "ObjectMeta": {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName", "generation",
        "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid",
    },
}  # fmt: skip
# What feature gates decide that are off by default in some version that knows the field, or what only the
# newest version has.
YOUNG: Final = {
    "ConfigMapVolumeSource": {"defaultUser"},
    "DownwardAPIVolumeFile": {"user"},
    "DownwardAPIVolumeSource": {"defaultUser"},
    "EmptyDirVolumeSource": {"mode"},
    "GRPCAction": {"mode"},
    "HTTPGetAction": {"protocol"},
    "KeyToPath": {"user"},
    "Lifecycle": {"stopSignal"},
    "PodSpec": {"evictionResponders", "schedulingGroup"},
    "ProjectedVolumeSource": {"defaultUser"},
    "SecretVolumeSource": {"defaultUser"},
    "ServiceAccountTokenProjection": {"user"},
    "TypedObjectReference": {"namespace"},
    "VolumeMount": {"bindMountOptions"},
    "VolumeProjection": {"clusterTrustBundle", "podCertificate"},
}
LEFT_OUT: Final = {
    name: frozenset().union(*(table.get(name, ()) for table in (OTHERS, IDENTITY, YOUNG)))
    for name in object_types()
}
# Fields of which an object has one.
ONE_OF: Final = {
    "DownwardAPIVolumeFile": {"fieldRef", "resourceFieldRef"},
    "EnvFromSource": {"configMapRef", "secretRef"},
    "EnvVar": {"value", "valueFrom"},
    "EnvVarSource": {"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"},
    "FCVolumeSource": {"targetWWNs", "wwids"},
    "FlockerVolumeSource": {"datasetName", "datasetUUID"},
    "LifecycleHandler": {"exec", "httpGet", "sleep", "tcpSocket"},
    "PodResourceClaim": {"resourceClaimName", "resourceClaimTemplateName"},
    "Probe": {"exec", "grpc", "httpGet", "tcpSocket"},
    "Volume": set(object_types()["Volume"]) - {"name"},
    "VolumeProjection": {"configMap", "downwardAPI", "secret", "serviceAccountToken"},
}
# By field or form: values that are valid, at least in some pod, and values that are valid in none.
VALUES: Final[dict[str, tuple[list[Any], list[Any]]]] = {
    "API version": (["apps/v1", "v1", "/v1"], ["a/b/c", "a/"]),
    "CSI driver": (["csi.example.com", "CSI"], ["a_b", "x" * 64]),
    "DNS label": (["data", "config", "x1"], ["A", "a.b", "x" * 64, "-a"]),
    "DNS subdomain": (["a.b", "a"], ["A", "a..b", "a_b"]),
    "HTTP header": (["X-A"], ["X_A", "x y"]),
    "IP address": (["10.0.0.1", "::1"], ["1.2.3", "::1%eth0", "10.0.0.1/8", "256.0.0.1"]),
    "Windows user": (["user", "DOM\\user", "a.b\\u"], ["a\\b\\c", "u@x", "...", "\\u", "a\\", "u\n"]),
    "absolute path": (["/a"], ["a"]),
    "beginning of a DNS subdomain": (["a.b", "a-", "A-"], ["A", "-"]),
    "environment variable name": (["A", "B", "c.d", "1 x"], ["a=b", "ä"]),
    "finalizer": (["example.com/a", "foregroundDeletion", "orphan"], ["a", "a b/c"]),
    "iSCSI name": (
        ["iqn.2001-04.com.example:a", "eui.0123456789abcdef", "naa." + "0" * 32],
        ["iqn.x", "abc", "eui.1", "iqn.2001-04.com.example:a b"],
    ),
    "image": (["busybox", "busybox:2"], [" busybox"]),
    "key of a ConfigMap": (["k", "a.b_C"], ["a/b", "..", "..a", "."]),
    "label value": (["a", "A_1"], ["a b", "-"]),
    "list of host:port": (["a:1", "a:1,[::1]:2"], ["a", "a:1:2", "a:1,"]),
    "path below": (["a/b", "p", "..a"], ["/a", "../x", "a/.."]),
    "path of a file below": (["a/b", "p", "a..b"], ["/a", "..a", "a/../b"]),
    "path without ..": (["/x", "a", "/x/..y"], ["/x/../y", ".."]),
    "port": ([80, 8080, "http"], [70000, 0, "HTTP", "-"]),
    "port name": (["http", "web"], ["HTTP", "1", "a--b", "x" * 16]),
    "qualified name": (["example.com/a", "zone"], ["-a", "a/b/c", "/a", "x" * 64]),
    "search domain": (["a.b", "a.b.", ".", "_a.b"], ["-a", "a..b"]),
    "sysctl": (
        ["kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net/ipv4/conf/e.1/x", "fs.mqueue.msg_max",
         "kernel/msgmax", "vm.x"],
        ["A", "a..b", "*"],
    ),
    "version of a Pod": (["v1"], ["v2"]),
    # Of single fields:
    "AppArmorProfile.localhostProfile": (["a.json"], [" a"]),
    "AzureDiskVolumeSource.diskURI": (["https://x", "https://y", "/subscriptions/x", "x"], []),
    "Capabilities.add": (["NET_ADMIN", "CAP_SYS_ADMIN"], []),
    "Container.terminationMessagePath": (["/dev/log"], []),
    "ContainerPort.containerPort": ([80, 8080], [0, 65536]),
    "ContainerPort.hostIP": (["10.0.0.1"], []),
    "ContainerPort.hostPort": ([80, 8080], [-1, 65536]),
    "ContainerRestartRuleOnExitCodes.values": ([1, 2], []),
    "EmptyDirVolumeSource.medium": (["", "Memory"], []),
    "EmptyDirVolumeSource.sizeLimit": (["1Gi", "0"], []),
    "EnvVar.name": (["A", "B", "C", "a b"], ["a=b"]),
    "FCVolumeSource.lun": ([0, 5, 255, 256, -1], []),
    "FileKeySelector.volumeName": (["data", "data", "config", "none"], ["A"]),
    "FlockerVolumeSource.datasetName": (["a"], ["a/b"]),
    "HTTPGetAction.path": (["/"], []),
    "HostAlias.ip": (["10.0.0.1", "::1"], ["1.2.3", ""]),
    "ISCSIVolumeSource.targetPortal": (["10.0.0.1:3260", "x" * 59], []),
    "LocalObjectReference.name": (["s", "a.b", "A"], []),
    "NodeSelectorRequirement.key": (["zone", "example.com/a", "metadata.name"], ["a b"]),
    "NodeSelectorRequirement.values": (["a", "5", "A"], []),
    "ObjectFieldSelector.fieldPath": (
        ["metadata.name", "metadata.namespace", "metadata.uid", "spec.host", "metadata.labels['a']",
         "metadata.annotations['a.b/C']", "metadata.labels", "status.podIP", "status.hostIPs"],
        ["status.x", "metadata.labels['a b']", "metadata.labels['']", "spec.nodeName['a']"],
    ),
    "OwnerReference.kind": (["ReplicaSet", "Event"], []),
    "OwnerReference.uid": (["u", "w"], []),
    "PersistentVolumeClaimVolumeSource.claimName": (["c", "A"], []),
    "PodDNSConfig.nameservers": (["10.0.0.10", "::1"], ["1.2.3"]),
    "PodOS.name": (["linux", "windows"], ["junk"]),
    "PodSecurityContext.seLinuxChangePolicy": (["Recursive"], ["junk"]),
    "PodSpec.hostnameOverride": (["a.b", "a"], ["A", "x" * 65]),
    "PodSpec.nodeName": (["n", "n.a"], ["A"]),
    "PodSpec.schedulerName": (["koord-scheduler"], []),
    "PodSpec.terminationGracePeriodSeconds": ([30, 0, 5, -1], []),
    "Probe.terminationGracePeriodSeconds": ([10], [0]),
    "QuobyteVolumeSource.tenant": (["a"], ["x" * 65]),
    "ResourceClaim.name": (["gpu", "gpu", "net", "none"], []),
    "ResourceFieldSelector.containerName": (["main", ""], []),
    "ResourceFieldSelector.divisor": (["1", "1", "1m", "1Mi", "1k", "0", "1000m"], ["2", "1500m"]),
    "ResourceFieldSelector.resource": (
        ["limits.cpu", "requests.memory", "limits.hugepages-2Mi", "requests.ephemeral-storage"],
        ["limits.disk", "cpu", "limits.example.com/fpga"],
    ),
    "SecurityContext.privileged": ([False], []),
    "ServiceAccountTokenProjection.expirationSeconds": ([3600, 600, 2**32], [599, 2**32 + 1]),
    "ServiceAccountTokenProjection.path": (["token"], []),
    "SleepAction.seconds": ([1, 5, 10, 40], [-1]),
    "Toleration.operator": (["Equal", "Exists"], ["junk"]),
    "Toleration.tolerationSeconds": ([5, -1], []),
    "Toleration.value": (["x", ""], ["x y"]),
    "TopologySpreadConstraint.topologyKey": (["zone", "host", "a b"], []),
    "TypedLocalObjectReference.kind": (["PersistentVolumeClaim", "VolumeSnapshot"], []),
    "TypedObjectReference.kind": (["PersistentVolumeClaim", "VolumeSnapshot"], []),
    "Volume.name": ([*VOLUMES, "v", "w"], ["A"]),
    "VolumeDevice.devicePath": (["/dev/a", "/data"], ["/x/../y"]),
    "VolumeDevice.name": (["claim", "made", "claim", "data", "none"], []),
    "VolumeMount.mountPath": (["/data", "/cache", "/etc/x", "/dev/a"], []),
    "VolumeMount.name": (["data", "config", "data", "claim", "none"], []),
    "WindowsSecurityContextOptions.gmsaCredentialSpec": (["{}"], ["", "x" * 65537]),
    "WindowsSecurityContextOptions.hostProcess": ([False], []),
}  # fmt: skip
# Texts for fields of which no rule is known.
UNUSUAL: Final = ["", "a b", "../x", "/x/..", "A_B", "ä", "-a", "x" * 300]
QUANTITIES: Final = {
    "cpu": ["1", "500m", "2", "1500m"],
    "memory": ["1Gi", "512Mi", "2Gi"],
    "hugepages-2Mi": ["4Mi", "8Mi"],
    "ephemeral-storage": ["1Gi", "2Gi"],
    "example.com/fpga": ["1", "2"],
    "kubernetes.io/batch-cpu": ["500", "1000"],
}
# Names of resources that no container may request, or amounts.
WRONG_QUANTITIES: Final = {
    "disk": "1", "storage": "1Gi", "hugepages-2Mi": "3Mi", "hugepages-x": "1", "requests.example.com/a": "1",
    "example.com/fpga": "1500m", "a b/c": "1",
}  # fmt: skip
SIZES: Final = {"storage": ["1Gi", "5Gi", "0"], "example.com/a": ["1"], "disk": ["1"]}
MEANINGFUL: Final = {
    "controller.kubernetes.io/pod-deletion-cost": ["5", "-1", "0", "+1", "05", "x", str(2**31)],
    "seccomp.security.alpha.kubernetes.io/pod": ["runtime/default", "unconfined", "localhost/a", "junk", ""],
    "container.seccomp.security.alpha.kubernetes.io/main": [
        "docker/default",
        "localhost/a",
        "localhost/../a",
    ],
    "container.apparmor.security.beta.kubernetes.io/main": [
        "runtime/default",
        "localhost/a.json",
        "",
        "junk",
    ],
    "container.apparmor.security.beta.kubernetes.io/proxy": ["unconfined"],
}
