"""Messages to the user, once in each job: from the process of rank 0."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def _rank() -> int:
    return next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)


def rank_zero_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, doing nothing in processes of another rank."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if _rank() == 0 else None

    return wrapped


@rank_zero_only
def rank_zero_warn(
    message: str, category: type[Warning] = UserWarning, stacklevel: int = 4
) -> None:
    """A warning at the line of whoever called the function that warns."""
    warnings.warn(message, category, stacklevel=stacklevel)
