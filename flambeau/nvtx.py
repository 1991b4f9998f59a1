"""torch.cuda.nvtx: ranges in the profiles of CUDA programs. There is no CUDA, so all refuse."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]


def _refuse(*args: Any, **options: Any) -> NoReturn:
    """RuntimeError, as in a build of PyTorch without CUDA."""
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


mark = range = range_push = range_pop = range_start = range_end = _refuse
