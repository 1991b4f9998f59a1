"""torch.mps: Apple's GPUs, which Flambeau does not compute on."""

from __future__ import annotations

from typing import NoReturn

from flambeau.functional.generators import checked_seed


def is_available() -> bool:
    """Whether tensors can live on Apple's GPU: never."""
    return False


def device_count() -> int:
    """How many of Apple's GPUs can be used: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the GPU's generator; nothing to do without one."""
    checked_seed(seed)


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(f"Cannot execute {name}() without MPS backend.")


def synchronize() -> None:
    """Waits for the GPU's work. RuntimeError: there is none."""
    _refuse("deviceSynchronize")


def empty_cache() -> None:
    """Gives unused memory of the GPU back. RuntimeError: there is none."""
    _refuse("emptyCache")


def seed() -> None:
    """Seeds the GPU's generator at random. RuntimeError: there is none."""
    _refuse("getDefaultGenerator")


def get_rng_state() -> NoReturn:
    """The state of the GPU's generator. RuntimeError: there is none."""
    _refuse("getDefaultGenerator")


def current_allocated_memory() -> int:
    """Bytes that tensors take on the GPU. RuntimeError: there is none."""
    _refuse("getCurrentAllocatedMemory")


def driver_allocated_memory() -> int:
    """Bytes that the driver holds. RuntimeError: there is none."""
    _refuse("getDriverAllocatedMemory")
