#!/bin/bash
# Seed 004's script as it is, but for the path of Guaranteed pods: the seed has kubepods-pod.slice/UID.slice there, which
# no kubelet makes.

# 获取Pod的名称和命名空间作为输入参数
POD_NAME=$1
NAMESPACE=${2-default}

# 确保提供了Pod名称和命名空间
if [ -z "$POD_NAME" ] || [ -z "$NAMESPACE" ]; then
    echo "Usage: $0 <pod_name> <namespace>"
    exit 1
fi

# 使用kubectl获取Pod的UID和QoS类别
POD_INFO=$(kubectl get pod "$POD_NAME" -n "$NAMESPACE" -o jsonpath="{.metadata.uid} {.status.qosClass} {.status.containerStatuses[0].containerID}")
read -r POD_UID POD_QOS CONTAINER_ID <<< "$POD_INFO"

# 检查UID和QoS类别是否成功获取
if [ -z "$POD_UID" ] || [ -z "$POD_QOS" ]; then
    echo "Failed to get UID or QoS Class for Pod $POD_NAME in namespace $NAMESPACE."
    exit 1
fi

POD_UID="${POD_UID//-/_}"
CONTAINER_ID="${CONTAINER_ID//containerd:\/\//cri-containerd-}".scope

# 根据QoS类别构建cgroup路径
case "$POD_QOS" in
    Guaranteed)
        QOS_PATH="kubepods-pod$POD_UID.slice"
        ;;
    Burstable)
        QOS_PATH="kubepods-burstable.slice/kubepods-burstable-pod$POD_UID.slice"
        ;;
    BestEffort)
        QOS_PATH="kubepods-besteffort.slice/kubepods-besteffort-pod$POD_UID.slice"
        ;;
    *)
        echo "Unknown QoS Class: $POD_QOS"
        exit 1
        ;;
esac

CPUGROUP_PATH="/sys/fs/cgroup/kubepods.slice/$QOS_PATH"

# 检查路径是否存在
if [ ! -d "$CPUGROUP_PATH" ]; then
    echo "CPUs cgroup path for Pod $POD_NAME does not exist: $CPUGROUP_PATH"
    exit 1
fi

# 读取并打印cpuset值
CPUSET=$(cat "$CPUGROUP_PATH/$CONTAINER_ID/cpuset.cpus")
echo "CPU set for Pod $POD_NAME ($POD_QOS QoS): $CPUSET"
