"""What the API server demands of security contexts, namespaces and operating systems."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, pod

SHARED = {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}
OF_NETWORK = {"sysctls": [{"name": "net/ipv4/conf/eth0.1/x", "value": "1"}]}
UNMASKED = container(securityContext={"procMount": "Unmasked"})
WINDOWS = {"windowsOptions": {"runAsUserName": "u"}}
HOSTED = {"windowsOptions": {"hostProcess": True}}


def apparmor(**profile):
    """Return a pod with an AppArmor profile."""
    return pod(securityContext={"appArmorProfile": profile})


def seccomp(**profile):
    """Return a pod with a seccomp profile."""
    return pod(securityContext={"seccompProfile": profile})


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "whose processes": (
        pod(hostPID=True, shareProcessNamespace=True),
        pod(hostPID=True, shareProcessNamespace=False),
        "spec",
    ),
    "a node and a gate": (
        pod(nodeName="n", schedulingGates=[{"name": "g"}]),
        pod(schedulingGates=[{"name": "g"}]),
        "spec",
    ),
    "escalation": (
        pod(container(securityContext={"privileged": True, "allowPrivilegeEscalation": False})),
        pod(container(securityContext={"privileged": True})),
        "spec.containers[main].securityContext",
    ),
    "a local profile": (
        pod(securityContext={"seccompProfile": {"type": "Localhost"}}),
        pod(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}),
        "spec.securityContext.seccompProfile",
    ),
    "a sysctl twice": (
        pod(securityContext={"sysctls": [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}]}),
        pod(securityContext={"sysctls": [{"name": "a", "value": "1"}, {"name": "b", "value": "1"}]}),
        "spec.securityContext",
    ),
    "a sysctl of the IPC namespace": (
        pod(securityContext=SHARED, hostIPC=True),
        pod(securityContext=SHARED, hostIPC=False),
        "spec",
    ),
    "a sysctl of the network": (
        pod(securityContext=OF_NETWORK, hostNetwork=True),
        pod(securityContext=OF_NETWORK, hostIPC=True),
        "spec",
    ),
    "users of its own and the host's processes": (
        pod(hostUsers=False, hostPID=True),
        pod(hostUsers=True, hostPID=True),
        "spec",
    ),
    "users of its own and the host's IPC": (pod(hostUsers=False, hostIPC=True), pod(hostUsers=False), "spec"),
    "an unmasked /proc": (pod(UNMASKED), pod(UNMASKED, hostUsers=False), "spec"),
    "a name of the host's": (
        pod(hostnameOverride="a", hostNetwork=True),
        pod(hostname="a", hostNetwork=True),
        "spec",
    ),
    "two names of the host": (
        pod(hostnameOverride="a", setHostnameAsFQDN=True),
        pod(hostnameOverride="a", setHostnameAsFQDN=False),
        "spec",
    ),
    "a path without its type": (
        seccomp(type="RuntimeDefault", localhostProfile=""),
        seccomp(type="Localhost", localhostProfile=""),
        "spec.securityContext.seccompProfile",
    ),
    "an AppArmor profile of no name": (
        apparmor(type="Localhost", localhostProfile=""),
        apparmor(type="Localhost", localhostProfile="a"),
        "spec.securityContext.appArmorProfile",
    ),
    "an AppArmor profile with blanks": (
        apparmor(type="Localhost", localhostProfile="a "),
        apparmor(type="Localhost", localhostProfile="a b"),
        "spec.securityContext.appArmorProfile",
    ),
    "Windows on Linux": (
        pod(os={"name": "linux"}, securityContext=WINDOWS),
        pod(os={"name": "windows"}, securityContext=WINDOWS),
        "spec",
    ),
    "Windows on a container of Linux": (
        pod(container(securityContext=WINDOWS), os={"name": "linux"}),
        pod(container(securityContext=WINDOWS)),
        "spec",
    ),
    "Linux on Windows": (
        pod(os={"name": "windows"}, securityContext={"runAsUser": 5}),
        pod(os={"name": "windows"}, securityContext={"runAsNonRoot": True}),
        "spec",
    ),
    "Linux on a container of Windows": (
        pod(container(securityContext={"procMount": "Default"}), os={"name": "windows"}),
        pod(container(securityContext={"runAsNonRoot": True}), os={"name": "windows"}),
        "spec",
    ),
    "a sysctl of Windows": (
        pod(os={"name": "windows"}, securityContext=SHARED),
        pod(os={"name": "windows"}, securityContext={"sysctls": []}),
        "spec",
    ),
    "processes of Windows that are shared": (
        pod(os={"name": "windows"}, shareProcessNamespace=False),
        pod(os={"name": "windows"}, hostPID=False),
        "spec",
    ),
    "resources of a pod of Windows": (
        pod(os={"name": "windows"}, resources={}),
        pod(os={"name": "linux"}, resources={}),
        "spec",
    ),
    "some containers on the host": (
        pod(container(securityContext=HOSTED), container("b"), hostNetwork=True),
        pod(container(), container("b"), securityContext=HOSTED, hostNetwork=True),
        "spec",
    ),
    "a container of another mind": (
        pod(
            container(securityContext=HOSTED),
            securityContext={"windowsOptions": {"hostProcess": False}},
            hostNetwork=True,
        ),
        pod(container(securityContext=HOSTED), securityContext=HOSTED, hostNetwork=True),
        "spec",
    ),
    "on the host without its network": (
        pod(securityContext=HOSTED),
        pod(securityContext=HOSTED, hostNetwork=True),
        "spec",
    ),
    "credentials of nothing": (
        pod(securityContext={"windowsOptions": {"gmsaCredentialSpec": ""}}),
        pod(securityContext={"windowsOptions": {"gmsaCredentialSpec": "{}"}}),
        "spec.securityContext.windowsOptions",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
