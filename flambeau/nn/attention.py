"""torch.nn.attention: which kernel attention uses; Flambeau compiles its own."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any

__path__: list[str] = []  # torch.nn.attention.flex_attention is flambeau.nn.flex_attention
__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """The kernels that PyTorch chooses from."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(
    backends: SDPBackend | list[SDPBackend], set_priority: bool = False
) -> Iterator[dict[Any, Any]]:
    """Chooses kernels in PyTorch; here attention is compiled the same way whatever is chosen.

    AssertionError for other things than backends.
    """
    given = [backends] if isinstance(backends, SDPBackend) else backends
    wrong = (
        given
        if not isinstance(given, list)
        else next((one for one in given if not isinstance(one, SDPBackend)), None)
    )
    if wrong is not None:
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
            f"{type(wrong).__name__}"
        )
    yield {}
