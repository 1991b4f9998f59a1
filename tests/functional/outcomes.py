"""What becomes of a call: the dtypes, shapes and numbers of its results, or the error and its first
line; and whether it is PyTorch's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Case = Callable[[Any, Any], Any]  # of a library and its nn.functional


def outcome(module: str, case: Case) -> Any:
    """The name and the first line of the error, or (dtype, shape, numbers) of each result."""
    torch = pytest.importorskip(module)
    try:
        made = case(torch, importlib.import_module(module + ".nn.functional"))
        results = made if isinstance(made, (list, tuple)) else [made]
        return [
            (str(each.dtype).split(".")[-1], tuple(each.shape), each.tolist()) for each in results
        ]
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0]


def check(case: Case, what: str = "", rtol: float | None = None) -> None:
    """The same outcome in both libraries: to the bit, or numbers up to `rtol`."""
    ours, theirs = outcome("flambeau", case), outcome("torch", case)
    if rtol is None or not isinstance(ours, list) or not isinstance(theirs, list):
        assert repr(ours) == repr(theirs), what
        return
    assert [r[:2] for r in ours] == [r[:2] for r in theirs], what
    for (_, _, mine), (_, _, wanted) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=rtol, err_msg=what)
