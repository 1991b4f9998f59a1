"""The environment variables that Flambeau listens to: read here and nowhere else.

| variable | what it says |
|---|---|
| FLAMBEAU_SYNC=1 | each op runs at once, in the reference executor |
| FLAMBEAU_EXECUTOR | auto, reference (nothing is compiled) or compiled (everything is, at once) |
| FLAMBEAU_BACKGROUND=1 | compile on another thread while the reference executor goes on |
| FLAMBEAU_NUM_THREADS | threads of a program, its caller included; else OMP_NUM_THREADS |
| FLAMBEAU_CACHE=0 | compiled kernels are not kept on disk |
| FLAMBEAU_CACHE_DIR | where they are kept; else XDG_CACHE_HOME/flambeau or ~/.cache/flambeau |
| FLAMBEAU_CACHE_LIMIT_MB | how many MiB of them (512) |
| FLAMBEAU_CPU_CAPABILITY | the most that kernels may use: avx512, avx2, or default (SSE) |
| FLAMBEAU_MATRIX_UNIT=0 | float32 products use vector instructions only, not Intel's AMX |
| FLAMBEAU_WINOGRAD=0 | convolutions of 3 x 3 are plain sums, not in Winograd's form |
| FLAMBEAU_TUNE=1 | where several kernels can serve, the fastest is found by timing them |
| FLAMBEAU_CHECK=1 | compiled kernels check each load and store against their buffers |
| FLAMBEAU_LEAVE | packages whose names `flambeau run` leaves to what is installed: torchmetrics |
| FLAMBEAU_REPORT=1 | `flambeau run` ends with a report |

Each function reads when it is called; its callers remember.
"""

from __future__ import annotations

import os

EXECUTORS = ("auto", "reference", "compiled")
CPU_CAPABILITIES = ("avx512", "avx2", "default")


def _switched_on(name: str, default: str = "0") -> bool:
    return os.environ.get(name, default) not in ("", "0")


def synchronous() -> bool:
    return _switched_on("FLAMBEAU_SYNC")


def executor() -> str:
    """One of EXECUTORS. Raises ValueError for anything else."""
    name = os.environ.get("FLAMBEAU_EXECUTOR", "auto")
    if name not in EXECUTORS:
        raise ValueError(f"FLAMBEAU_EXECUTOR must be auto, reference or compiled, got {name!r}")
    return name


def background_wanted() -> bool:
    """Whether programs are compiled on another thread, while they run in the reference executor."""
    return _switched_on("FLAMBEAU_BACKGROUND")


def requested_threads() -> int | None:
    """The number of threads asked for, if any.

    Raises ValueError when FLAMBEAU_NUM_THREADS is not a positive number.
    """
    spelled = os.environ.get("FLAMBEAU_NUM_THREADS", "").strip()
    if spelled:
        if not spelled.isdecimal() or int(spelled) == 0:
            raise ValueError(f"FLAMBEAU_NUM_THREADS must be a positive number, not {spelled!r}")
        return int(spelled)
    # OMP_NUM_THREADS may list nested levels; what OpenMP would reject is not for us to complain of.
    outer = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(outer) if outer.isdecimal() and int(outer) > 0 else None


def cache_wanted() -> bool:
    """Whether compiled kernels may be kept on disk."""
    return os.environ.get("FLAMBEAU_CACHE", "1") != "0"


def cache_directory() -> str | None:
    """The directory for compiled kernels, where one is named."""
    return os.environ.get("FLAMBEAU_CACHE_DIR") or None


def cache_home() -> str | None:
    """The user's directory for caches of all programs, where one is named."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return base if os.path.isabs(base) else None


def cache_limit() -> int | None:
    """The most bytes of kernels to keep, where said. Raises ValueError unless a whole number."""
    spelled = os.environ.get("FLAMBEAU_CACHE_LIMIT_MB")
    if not spelled:
        return None
    if not spelled.isdecimal():
        raise ValueError(f"FLAMBEAU_CACHE_LIMIT_MB must be a whole number, not {spelled!r}")
    return int(spelled) << 20


def cpu_capability() -> str | None:
    """One of CPU_CAPABILITIES, if any is named. Raises ValueError for anything else."""
    name = os.environ.get("FLAMBEAU_CPU_CAPABILITY", "").strip().lower()
    if name and name not in CPU_CAPABILITIES:
        raise ValueError(f"FLAMBEAU_CPU_CAPABILITY must be avx512, avx2 or default, got {name!r}")
    return name or None


def matrix_unit_wanted() -> bool:
    """Whether products may use the CPU's matrix unit where it has one."""
    return os.environ.get("FLAMBEAU_MATRIX_UNIT", "1") != "0"


def winograd_wanted() -> bool:
    """Whether convolutions of 3 x 3 may have fewer products, in Winograd's form."""
    return os.environ.get("FLAMBEAU_WINOGRAD", "1") != "0"


def tuning_wanted() -> bool:
    """Whether kernels are chosen by timing them."""
    return _switched_on("FLAMBEAU_TUNE")


def checking_wanted() -> bool:
    """Whether compiled kernels check what they touch."""
    return _switched_on("FLAMBEAU_CHECK")


def left_packages() -> list[str]:
    """The packages (names, with commas between) that keep their names under `flambeau run`."""
    spelled = os.environ.get("FLAMBEAU_LEAVE", "")
    return [name.strip() for name in spelled.split(",") if name.strip()]


def leave_packages(packages: list[str]) -> None:
    """Sets what `left_packages` gives, here and in processes started from here."""
    os.environ["FLAMBEAU_LEAVE"] = ",".join(packages)


def report_wanted() -> bool:
    return _switched_on("FLAMBEAU_REPORT")


def named() -> dict[str, str]:
    """All variables of ours that are set."""
    ours = sorted(name for name in os.environ if name.startswith("FLAMBEAU_"))
    return {name: os.environ[name] for name in ours}
