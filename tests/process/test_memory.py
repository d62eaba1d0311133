"""Memory that is free goes back to the kernel: large blocks at once, the others when they are given back."""

import subprocess
import sys

import pytest

SCRIPT = """
from webhook.process.memory import give_back, give_back_large_blocks

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

give_back_large_blocks()
bytes(2**23)  # by itself, glibc would keep blocks of up to this size from now on
before = resident()
blocks = [bytearray({size}) for _ in range({number})]
held = resident() - before
last = blocks.pop()
del blocks
{then}
print(held >> 10, resident() - before >> 10)
"""


def measured(**values):
    """MiB that the blocks took, and what is left of them once all but the last are free."""
    command = [sys.executable, "-c", SCRIPT.format(**values)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize(("size", "then"), [(80 * 2**10, "give_back()"), (2**20, "")])
def test_what_is_free_goes_back_behind_a_block_in_use(size, then):
    """Buffers of connections wait for `give_back`, blocks of a MiB for nothing."""
    held, left = measured(size=size, number=64 * 2**20 // size, then=then)
    assert held >= 60
    assert left <= 4


def test_what_a_review_needs_is_kept_for_the_next_one():
    """Until then nothing is fetched from the kernel anew."""
    held, left = measured(size=300 * 2**10, number=200, then="")
    assert left > held / 2
