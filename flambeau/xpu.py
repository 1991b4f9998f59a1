"""torch.xpu: Intel's GPUs, which Flambeau does not compute on."""

from __future__ import annotations

from typing import NoReturn

from flambeau.functional.generators import checked_seed


def is_available() -> bool:
    """Whether tensors can live on Intel's GPU: never."""
    return False


def is_initialized() -> bool:
    """Whether the GPU has been used: never."""
    return False


def is_bf16_supported() -> bool:
    """Whether the GPU computes in bfloat16: there is none."""
    return False


def device_count() -> int:
    """How many of Intel's GPUs can be used: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the GPU's generator; nothing to do without one."""
    checked_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all GPUs; nothing to do without one."""
    checked_seed(seed)


def seed() -> None:
    """Seeds the GPU's generator at random; nothing to do without one."""


def empty_cache() -> None:
    """Gives unused memory of the GPU back; nothing to do without one."""


def memory_allocated(device: object = None) -> int:
    """Bytes that tensors take on the GPU: none."""
    return 0


def synchronize(device: object = None) -> NoReturn:
    """Waits for the GPU's work. AssertionError: there is none."""
    _refuse()


def current_device() -> NoReturn:
    """The GPU in use. AssertionError: there is none."""
    _refuse()


def get_device_name(device: object = None) -> NoReturn:
    """The name of a GPU. AssertionError: there is none."""
    _refuse()


def _refuse() -> NoReturn:
    raise AssertionError("Torch not compiled with XPU enabled")
