"""What sysfs shows."""

from pathlib import Path

from tests.agent.tree import write
from webhook.agent.machine.hardware import Cache, l3_caches, numa_memory


def test_caches_that_cpus_share(tmp_path: Path) -> None:
    """Those of level 3, each once; by its number, where the kernel gives one."""
    top = "sys/devices/system/cpu"
    for cpu in range(4):
        write(
            tmp_path,
            {
                f"{top}/cpu{cpu}/cache/index0/level": "1\n",
                f"{top}/cpu{cpu}/cache/index0/shared_cpu_list": f"{cpu}\n",
                f"{top}/cpu{cpu}/cache/index3/level": "3\n",
                f"{top}/cpu{cpu}/cache/index3/shared_cpu_list": "0-1\n" if cpu < 2 else "2-3\n",
            },
        )
    write(tmp_path, {f"{top}/cpu{cpu}/cache/index3/id": "7\n" for cpu in (2, 3)})
    assert l3_caches(tmp_path) == (Cache(0, frozenset({0, 1})), Cache(7, frozenset({2, 3})))


def test_memory_of_numa_nodes(tmp_path: Path) -> None:
    """Bytes by node; what cannot be read is left out."""
    top = "sys/devices/system/node"
    write(
        tmp_path,
        {
            f"{top}/node0/meminfo": "Node 0 MemTotal: 1024 kB\nNode 0 MemFree: 512 kB\n",
            f"{top}/node10/meminfo": "Node 10 MemTotal: 2048 kB\nNode 10 MemFree: 512 kB\n",
            f"{top}/node2/meminfo": "nothing\n",
        },
    )
    assert numa_memory(tmp_path) == {0: 2**20, 10: 2**21}


def test_a_machine_without_such_files(tmp_path: Path) -> None:
    """Has no caches and no NUMA nodes that anybody could name."""
    assert l3_caches(tmp_path) == ()
    assert numa_memory(tmp_path) == {}
