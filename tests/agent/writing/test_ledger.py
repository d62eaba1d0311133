"""Every action is on disk, or waits for it; the first value of each file survives the ring."""

import errno
import os

import pytest

from webhook.agent.writing import ledger as module
from webhook.agent.writing.ledger import RESTORE, ActionLedger, LedgerError, is_of_pod, read_lines


def line(number=0, old="1", new="2", file="cpu.shares", rule="limits", **fields):
    """A line about a file of pod ``number``."""
    why = {"rule": rule, "pod": f"shop/p{number}", "inputs": {}}
    path = f"/sys/fs/cgroup/cpu/kubepods/podu-{number}"
    return {
        "t": "now",
        "path": path,
        "file": file,
        "old": old,
        "new": new,
        "why": why,
        "cgroup": number,
    } | fields


def open_ledger(folder, **fields):
    """A ledger for which every cgroup stands."""
    inode = {"identity": lambda path: int(path.split("podu-")[1].split("/")[0])}
    return ActionLedger(folder, **({"boot": "one"} | inode | fields))


def lines(folder):
    """The lines about files."""
    return [each for each in read_lines(folder) if "path" in each]


def originals(ledger):
    """The first and the last value of each file."""
    return {
        path.rpartition("/kubepods/")[2]: (each.old, each.last) for path, each in ledger.originals.items()
    }


def test_lines_survive_a_restart(tmp_path):
    """And so does what each file held before the first write."""
    ledger = open_ledger(tmp_path)
    ledger.append(line(old="1", new="2"))
    ledger.append(line(old="9", new="2"))
    ledger.close()
    again = open_ledger(tmp_path)
    assert originals(again) == {"podu-0/cpu.shares": ("1", "2")}
    assert [each["old"] for each in lines(tmp_path)] == ["1", "9"]
    again.append(line(old="2", new="1", rule=RESTORE))
    again.close()
    assert open_ledger(tmp_path).originals == {}


def test_cgroups_of_another_boot_or_folder_are_others(tmp_path):
    """A uid may come back with a new cgroup: its first value counts then."""
    ledger = open_ledger(tmp_path)
    ledger.append(line(old="1"))
    ledger.append(line(old="5", cgroup=7))
    assert originals(ledger) == {"podu-0/cpu.shares": ("5", "2")}
    ledger.close()
    assert open_ledger(tmp_path, boot="two").originals == {}


def test_a_torn_last_line_is_passed_over(tmp_path, caplog):
    """Power was lost while it was written: the log says so, and the next line is a line of its own."""
    ledger = open_ledger(tmp_path)
    ledger.append(line(1))
    ledger.close()
    with (tmp_path / "actions.jsonl").open("ab") as file:
        file.write(b'{"t": "now", "pa')
    ledger = open_ledger(tmp_path)
    assert "torn" in caplog.text
    ledger.append(line(2))
    ledger.close()
    assert [each["cgroup"] for each in lines(tmp_path)] == [1, 2]


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"[]\n", b"null\n", b'{"path": 1}\n', b"\n"])
def test_what_cannot_be_read_is_passed_over(tmp_path, garbage):
    """Somebody edited it."""
    tmp_path.joinpath("actions.jsonl").write_bytes(garbage)
    ledger = open_ledger(tmp_path)
    ledger.append(line())
    assert len(lines(tmp_path)) == 1


def test_the_ring_keeps_its_size_and_the_first_values(tmp_path):
    """Of files that still stand; of cgroups that are gone nothing is carried over."""
    standing = {0, 1}

    def identity(path):
        number = int(path.split("podu-")[1].split("/")[0])
        if number not in standing:
            raise FileNotFoundError(path)
        return number

    ledger = open_ledger(tmp_path, limit=20_000, identity=identity)
    for number in range(500):
        ledger.append(line(number % 5, old=str(number), new=str(number + 5)))
    ledger.close()
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < 20_000 + 500
    assert len(lines(tmp_path)) < 100
    again = open_ledger(tmp_path, identity=identity)
    assert originals(again) == {"podu-0/cpu.shares": ("0", "500"), "podu-1/cpu.shares": ("1", "501")}


def test_the_ring_keeps_the_last_two_values(tmp_path):
    """Of a file that was written again; a line after which it holds the same is no other value."""
    ledger = open_ledger(tmp_path, limit=2_000)
    for new in ("2", "3", "4", "4"):
        ledger.append(line(0, new=new))
    for _ in range(30):
        ledger.append(line(1))
    ledger.close()
    assert not [each for each in lines(tmp_path) if each["new"] == "4"]
    again = open_ledger(tmp_path)
    assert [(each.last, each.previous) for each in again.originals.values()] == [("4", "3"), ("2", None)]


def test_a_rotation_that_was_interrupted(tmp_path):
    """Between its two renames: the next file is taken."""
    ledger = open_ledger(tmp_path)
    ledger.append(line())
    ledger.close()
    (tmp_path / "actions.jsonl").rename(tmp_path / "actions.1.jsonl")
    (tmp_path / "actions.next.jsonl").write_bytes(b'{"boot": "one"}\n')
    assert originals(open_ledger(tmp_path)) == {"podu-0/cpu.shares": ("1", "2")}
    assert not (tmp_path / "actions.next.jsonl").exists()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, caplog):
    """Lines wait, half of one is taken back, and all are there once there is room."""
    ledger = open_ledger(tmp_path)
    ledger.append(line(0))
    real, room = os.write, [40]

    def write(handle, data):
        if room[0] >= len(data):
            return real(handle, data)
        part, room[0] = data[: room[0]], 0
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, part)

    monkeypatch.setattr(module.os, "write", write)
    for number in range(1, 5):
        ledger.append(line(number))
    assert "No space left" in ledger.problem
    assert "4 lines wait" in ledger.problem
    assert caplog.text.count("make room") == 1
    assert len(ledger.originals) == 5
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    assert ledger.full
    room[0] = 10**6
    ledger.flush()
    assert ledger.problem == ""
    assert [each["cgroup"] for each in lines(tmp_path)] == [0, 1, 2, 3, 4]


def test_one_agent_at_a_time(tmp_path):
    """A second one is refused, and the message says what to do."""
    first = open_ledger(tmp_path)
    with pytest.raises(LedgerError, match="is in use: an agent in the mode enforce runs here"):
        open_ledger(tmp_path)
    first.close()
    open_ledger(tmp_path).close()


def test_one_that_only_reads_is_in_nobodys_way(tmp_path):
    """It sees what stands there, and what somebody gives back meanwhile; it makes and changes no file."""
    folder = tmp_path / "ledger"
    assert open_ledger(folder, writable=False).originals == {}
    assert not folder.exists()
    first = open_ledger(folder)
    first.append(line(old="1", new="2"))
    first.close()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    reading = open_ledger(folder, writable=False)
    assert originals(reading) == {"podu-0/cpu.shares": ("1", "2")}
    assert open_ledger(folder, boot="two", writable=False).originals == {}
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    other = open_ledger(folder)
    other.append(line(old="2", new="1", rule=RESTORE))
    reading.look_again()
    assert reading.originals == {}
    reading.close()
    with pytest.raises(LedgerError):
        open_ledger(folder)


def test_a_folder_that_cannot_be_used(tmp_path):
    """The message names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="name a folder that can be written"):
        open_ledger(tmp_path / "file" / "ledger")


@pytest.mark.parametrize(
    ("path", "pod", "expected"),
    [
        ("/c/kubepods/podu-1", "shop/p", True),
        ("/c/kubepods/podu-1", "p", True),
        ("/c/kubepods/podu-1/abc", "u-1", True),
        ("/c/kubepods.slice/kubepods-podu_1.slice/cri-containerd-abc.scope", "u-1", True),
        ("/c/kubepods/podu-12", "u-1", False),
        ("/c/kubepods/podu-1", "other", False),
    ],
)
def test_lines_of_a_pod(path, pod, expected):
    """By namespace and name, by name, or by uid."""
    assert is_of_pod({"path": path, "why": {"pod": "shop/p"}}, pod) is expected
