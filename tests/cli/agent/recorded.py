"""A recorded machine, and dry runs on it."""

CONTAINER = "a" * 64
POD = "kubepods/besteffort/podu-be"
FILES = {
    "cpuset/{}/cpuset.cpus": "0-3",
    "cpu/{}/cpu.shares": "2",
    "cpu/{}/cpu.cfs_quota_us": "-1",
    "cpu/{}/cpu.cfs_period_us": "100000",
    "cpu/{}/cpu.idle": "0",
    "memory/{}/memory.limit_in_bytes": "9223372036854771712",
}


def files(machine):
    """Every file of the recorded machine."""
    return {path: path.read_text() for path in (machine / "root").rglob("*") if path.is_file()}


def dry_run(run, machine, *flags):
    """Run it on the recorded machine."""
    return run("agent", "--dry-run", "--root", machine / "root", "--pods", machine / "pods.yaml", *flags)
