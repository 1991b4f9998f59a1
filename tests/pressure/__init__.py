"""Programs under pressure: faults of memory and disk, threads, processes, signals, long runs.

Each test has a quick form; FLAMBEAU_PRESSURE=N makes it N times as long (`tools/dev.py soak`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMES = int(os.environ.get("FLAMBEAU_PRESSURE") or 1)


def run_script(
    script: str, *arguments: str, cwd: Path = ROOT, code: int = 0, **environment: str
) -> str:
    """Runs a script in a process of its own that finds this package; what it prints.

    Asserts that it ends with `code`.
    """
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=120 + 60 * TIMES,
        check=False,
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout
