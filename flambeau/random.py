"""torch.random: the default generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from flambeau.core.device import check_available
from flambeau.core.device import device as _device
from flambeau.functional.generators import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None]:
    """Numbers drawn in the `with` block do not move the generator on.

    `devices` are accelerators whose generators are kept as well: it must be empty or None
    where there are none.
    """
    for each in devices or ():
        check_available(_device(device_type, each) if isinstance(each, int) else _device(each))
        raise NotImplementedError("fork_rng(devices=...) is not implemented")
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
