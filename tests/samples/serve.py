"""Runs programs in forks of one process that has its framework imported: `serve.py torch`.

Each line on stdin is the path of a program; each line on stdout a JSON object with its exit status
and what it printed.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import Any


def import_framework(name: str) -> None:
    if name == "flambeau":
        from flambeau import compat

        compat.install()
    import torch
    import torch.distributions
    import torch.nn
    import torch.optim
    import torch.utils.data

    expected = "flambeau" if name == "flambeau" else "torch"
    assert torch.nn.Module.__module__.startswith(expected)


def child(path: str, out: int, err: int) -> int:
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    sys.argv = [path]
    status = 0
    try:
        runpy.run_path(path, run_name="__main__")
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def run(path: str) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            status = 2
            try:
                status = child(path, out.fileno(), err.fileno())
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return {"status": status, "out": out.read().decode(), "err": err.read().decode()}


if __name__ == "__main__":
    import_framework(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(run(line.strip())), flush=True)
