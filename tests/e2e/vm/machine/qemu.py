"""QEMU: a machine by software emulation, started from a disk or from a snapshot of disk and memory."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.vm.machine.shape import Shape

ADDRESS: Final = "10.0.2.15"
"""Of the machine, in the network that only it and this process are in."""
HOST: Final = "10.0.2.2"
"""What listens on this machine's loopback address is found there."""

# With the clock that the kernel takes otherwise, hpet, each look at the time is a system call, and each of
# these waits for the one lock of QEMU's devices.
_KERNEL = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 psi=1 mitigations=off nowatchdog apparmor=0 selinux=0 "
    "audit=0 systemd.show_status=0 quiet tsc=reliable clocksource=tsc"
)
_BINARY = "qemu-system-x86_64"
_DISK, _MEMORY = "disk.qcow2", "memory"
_SHOWN_BYTES = 1 << 30


class Qemu:
    """One virtual machine; on leaving it is ended, and with this process at the latest."""

    def __init__(self, folder: Path, root: Path, shape: Shape, ports: Mapping[int, int]) -> None:
        """Run nothing yet.

        Args:
            folder: for its disk and its logs.
            root: what build.sh made: root.qcow2, kernel, initrd.
            shape: of the machine.
            ports: of the machine, by the ports of the loopback address that lead there.
        """
        self.folder = folder
        self._root = root
        self._shape = shape
        self._ports = ports
        self._disk = folder / _DISK
        self._shown = folder / "shown"
        self._shown.touch()
        os.truncate(self._shown, _SHOWN_BYTES)
        # The names of such sockets are short: those of the tests' own folders are not.
        self._sockets = tempfile.TemporaryDirectory(prefix="qemu-")
        self._control = Path(self._sockets.name) / "control"
        self._process: Process | None = None

    def __enter__(self) -> Self:
        """Run nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever it does."""
        self.stop()
        self._sockets.cleanup()

    def boot(self) -> None:
        """Start it as a computer is started: the kernel, then systemd."""
        self._overlay(self._root / "root.qcow2")
        self._start()

    def restore(self, snapshot: Path) -> None:
        """Start it from a snapshot, where it went on being; the snapshot stays as it is."""
        self._overlay(snapshot / _DISK)
        # Programs run by QEMU's shell end with it.
        self._start("-incoming", f"exec:cat '{snapshot / _MEMORY}'")
        eventually(
            lambda: self._ask("query-status")["status"] != "inmigrate", seconds=120, what="the snapshot"
        )
        self._ask("cont")

    def save(self, snapshot: Path) -> None:
        """Write disk and memory into a folder, which appears when it is whole, and end the machine."""
        part = snapshot.with_name(f".{snapshot.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        self._ask("stop")
        self._ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self._ask("migrate", uri=f"exec:cat > '{part / _MEMORY}'")

        def written() -> bool:
            status = self._ask("query-migrate")
            if status.get("status") == "failed":
                raise RuntimeError(f"no snapshot: {status}")
            return bool(status.get("status") == "completed")

        eventually(written, seconds=300, what="the snapshot")
        self.stop()
        shutil.move(self._disk, part / _DISK)
        part.rename(snapshot)

    def show(self, file: Path) -> str:
        """Let the machine read a file, in place of the last one; return where, followed by zeros."""
        assert file.stat().st_size <= _SHOWN_BYTES, f"{file}: more than {_SHOWN_BYTES} bytes"
        with self._shown.open("r+b") as place, file.open("rb") as content:
            # The kernel there believes that it is a disk, which has one size.
            place.truncate(0)
            shutil.copyfileobj(content, place)
            place.truncate(_SHOWN_BYTES)
        return "/dev/vdb"

    def stop(self) -> None:
        """End it, if it runs, as if it had lost power."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def require_running(self) -> None:
        """Raise with what it said if it has ended."""
        assert self._process is not None, "no virtual machine was started"
        self._process.require_running()

    def console(self) -> str:
        """What kernel and systemd wrote."""
        return (self.folder / "console.log").read_text(errors="replace")

    def _overlay(self, below: Path) -> None:
        """Make a disk that holds only what is written to it, above another that stays as it is."""
        self._disk.unlink(missing_ok=True)
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, self._disk]
        subprocess.run(command, check=True)  # noqa: S603 — the tests' own command line

    def _start(self, *further: str) -> None:
        self._control.unlink(missing_ok=True)
        leading = "".join(
            f",hostfwd=tcp:127.0.0.1:{ours}-{ADDRESS}:{its}" for ours, its in self._ports.items()
        )
        command = [
            # It ends when this process does, however that ends.
            *("setpriv", "--pdeathsig", "KILL", _BINARY),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            # One thread takes the CPUs in turn: of several that wait for real ones, those that spin for a
            # lock burn the time of the one that holds it.
            *("-machine", "q35", "-accel", "tcg,thread=single", *self._shape.flags()),
            *("-kernel", str(self._root / "kernel"), "-initrd", str(self._root / "initrd")),
            *("-append", " ".join([_KERNEL, *self._shape.kernel()])),
            # What is lost in a crash of this machine is nobody's loss here.
            *("-drive", f"file={self._disk},if=virtio,format=qcow2,cache=unsafe"),
            *("-drive", f"file={self._shown},if=virtio,format=raw,readonly=on"),
            *("-netdev", f"user,id=net{leading}", "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{self.folder / 'console.log'}"),
            *("-qmp", f"unix:{self._control},server=on,wait=off"),
            *further,
        ]
        self._process = Process("qemu", command, self.folder / "qemu.log", env=os.environ, cwd=self.folder)
        eventually(self._control_answers, seconds=60, what="QEMU")

    def _control_answers(self) -> bool:
        self.require_running()
        return bool(self._ask("query-status"))

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask QEMU by its own protocol, on a connection for this one question."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self._control))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.readline()  # who it is
                answer: dict[str, Any] = {}
                for execute, values in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": execute, "arguments": values}) + "\n")
                    stream.flush()
                    answer = _answer(stream.readline, execute)
                return answer


def version() -> str:
    """What QEMU says of itself: what one has kept, another may not read."""
    done = subprocess.run([_BINARY, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 — QEMU
    return done.stdout.partition("\n")[0]


def _answer(read: Any, execute: str) -> dict[str, Any]:
    """Read on to the answer; what else is said is news that nobody waits for."""
    while line := read():
        said = json.loads(line)
        if "error" in said:
            raise RuntimeError(f"qemu: {execute}: {said['error']['desc']}")
        if "return" in said:
            found: dict[str, Any] = said["return"]
            return found
    raise ConnectionError(f"qemu: {execute}: no answer")
