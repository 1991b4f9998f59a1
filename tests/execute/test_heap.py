"""What the C library's heap keeps, in processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from flambeau.execute.reference import heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [np.empty(1 << 18, np.float32) for _ in range(4)]
        for block in blocks:
            block.fill(1.0)
        del block, blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
heap.keep()
faults()
print(before, faults())
"""


def counted(**environment: str) -> tuple[int, int]:
    text = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    before, after = map(int, text.split())
    return before, after


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_of_freed_arrays_stay() -> None:
    before, after = counted()
    assert before > 2000 and after < before / 10  # (80 MiB in pages, at least 2 of those on 16 KiB)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_the_user_says_of_the_allocator_counts() -> None:
    before, after = counted(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert after > before / 2
