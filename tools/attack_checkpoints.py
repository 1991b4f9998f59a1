"""Loads many damaged and hostile checkpoint files: `python tools/attack_checkpoints.py 20000`.

Each must load or raise a clear error within a bound of time and memory, and run no code.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import hostile_files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0, help="processes to kill while they save")
    asked = parser.parse_args()
    if asked.kills:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(asked.seed)
            saved = hostile_files.kill_savers(asked.kills, Path(folder), rng)
        print(f"{asked.kills} processes killed in {saved} saves: every file is whole")
    # An attempt to take 4 GB fails here instead of taking the machine down.
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    outcomes: Counter[str] = Counter()
    slowest, failures = (0.0, -1), 0
    originals = hostile_files.whole()
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder) / "harm"
        for number in range(asked.count):
            rng = random.Random(asked.seed * 1_000_003 + number)
            data = hostile_files.mutated(rng, originals, mark)
            began = time.perf_counter()
            try:
                outcomes[hostile_files.check(data, mark)] += 1
            except Exception as error:
                failures += 1
                print(f"file {number}: {type(error).__name__}: {error}"[:300])
            slowest = max(slowest, (time.perf_counter() - began, number))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{asked.count} files: {dict(outcomes)}, {failures} failures")
    print(f"slowest: {slowest[0]:.3f} s (file {slowest[1]}); peak memory {peak:.0f} MB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
