"""A machine, as all parts of an agent see it."""

from pathlib import Path

import pytest

from tests.agent.tree import write
from webhook.agent.findings import MOST_FINDINGS, Findings
from webhook.agent.machine.host import HARDWARE_SECONDS, Host

CPU = "sys/devices/system/cpu"


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Stand still."""
    return Clock()


@pytest.fixture
def host(tmp_path: Path, clock: Clock) -> Host:
    """Of four CPUs, whose kubelet's files are read."""
    for cpu in range(4):
        write(
            tmp_path,
            {
                f"{CPU}/cpu{cpu}/topology/physical_package_id": "0\n",
                f"{CPU}/cpu{cpu}/topology/core_id": f"{cpu}\n",
            },
        )
    write(tmp_path, {f"{CPU}/online": "0-3\n"})
    return Host(Findings(), tmp_path, tmp_path / "kubelet", clock)


def test_what_is_the_same_is_the_same_object(host: Host, clock: Clock) -> None:
    """So whoever asks each second sees at once that nothing changed."""
    first, kubelet = host.hardware(), host.kubelet()
    assert first is not None
    clock.now += HARDWARE_SECONDS + 1
    assert host.hardware() is first
    assert host.kubelet() is kubelet


def test_a_cpu_that_goes_offline_is_gone_at_once(host: Host) -> None:
    """Not only when everything is read again."""
    assert host.hardware() is not None
    write(host.root, {f"{CPU}/online": "0-2\n"})
    found = host.hardware()
    assert found is not None
    assert [place.cpu for place in found.cpus.places] == [0, 1, 2]


def test_everything_is_read_again_each_minute(host: Host, clock: Clock) -> None:
    """Memory comes and goes without a CPU."""
    assert host.hardware() is not None
    write(host.root, {"sys/devices/system/node/node0/cpulist": "0-3\n"})
    write(host.root, {"sys/devices/system/node/node0/meminfo": "MemTotal: 1 kB\nMemFree: 1 kB\n"})
    before = host.hardware()
    assert before is not None
    assert before.memory == {}
    clock.now += HARDWARE_SECONDS
    after = host.hardware()
    assert after is not None
    assert after.memory == {0: 1024}


def test_cpus_that_cannot_be_read_are_a_finding(
    host: Host, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; nothing is known until they can be read."""
    (host.root / CPU / "cpu2/topology/core_id").write_text("nowhere\n")
    assert host.hardware() is None
    clock.now += HARDWARE_SECONDS
    assert host.hardware() is None
    assert len([text for text in caplog.messages if "cpu2/topology/core_id" in text]) == 1


def test_a_kubelet_whose_files_are_not_to_be_read_is_not_known(tmp_path: Path) -> None:
    """Rather than one without a policy."""
    assert Host(Findings(), tmp_path).kubelet() is None


def test_findings_are_said_once_each_and_not_all_are_remembered(caplog: pytest.LogCaptureFixture) -> None:
    """With more than are remembered, the first may be said again."""
    findings = Findings()
    for _ in range(2):
        findings.say("one")
        findings.say("two")
    assert caplog.messages == ["one", "two"]
    for number in range(MOST_FINDINGS):
        findings.say(str(number))
    findings.say("one")
    assert caplog.messages.count("one") == 2
