"""Generators of random numbers, and the default one that every draw takes unless told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes, random_streams
from flambeau.core.device import device as Device
from flambeau.functional.options import checked_device
from flambeau.tensor.tensor import Tensor, from_array

DEFAULT_SEED = 67280421310721
CPU = Device("cpu")


class Generator:
    """A stream of random numbers, PyTorch's for the same seed."""

    def __init__(self, device: Any = "cpu") -> None:
        checked_device(device)
        self._state = _state_tensor(DEFAULT_SEED)

    @property
    def device(self) -> Device:
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream over from a seed (64 bits; negative ones wrap)."""
        self._state = _state_tensor(checked_seed(seed))
        return self

    def seed(self) -> int:
        """Starts the stream over from a random seed, which is returned."""
        seed = int.from_bytes(os.urandom(8), "little")
        self._state = _state_tensor(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed the stream started from."""
        return random_streams.initial_seed(self._state._array())

    def get_state(self) -> Tensor:
        """The state as PyTorch's 5056-byte uint8 tensor."""
        return from_array(random_streams.state_to_torch_bytes(self._state._array()), dtypes.uint8)

    def set_state(self, new_state: Tensor) -> Generator:
        """Continues from a state that `get_state` gave (here or in PyTorch)."""
        if not isinstance(new_state, Tensor) or new_state.dtype is not dtypes.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        words = random_streams.state_from_torch_bytes(np.ascontiguousarray(new_state._array()))
        self._state = from_array(words, dtypes.uint32)
        return self

    def clone_state(self) -> Generator:
        """A generator that goes on from the same place."""
        other = Generator()
        other._state = from_array(self._state._array().copy(), dtypes.uint32)
        return other

    def __reduce__(self) -> Any:
        return _restore_generator, (self.get_state().numpy().copy(),)


def _restore_generator(state: Any) -> Generator:
    return Generator().set_state(from_array(state, dtypes.uint8))


def _state_tensor(seed: int) -> Tensor:
    return from_array(random_streams.seed_state(seed), dtypes.uint32)


def checked_seed(seed: Any) -> int:
    """A seed as 64 bits."""
    number = int(seed)
    if not -0x8000_0000_0000_0000 <= number <= 0xFFFF_FFFF_FFFF_FFFF:
        raise RuntimeError(
            "Overflow when unpacking long long" if number > 0 else "Overflow when unpacking long"
        )
    return number & 0xFFFF_FFFF_FFFF_FFFF


class DefaultGenerator(Generator):
    """The generator that draws use by default: the process's, or a data worker's own."""

    @property
    def _state(self) -> Tensor:
        own = _own.state
        return self._shared if own is None else own

    @_state.setter
    def _state(self, state: Tensor) -> None:
        if _own.state is None:
            self._shared = state
        else:
            _own.state = state


class _Own(threading.local):
    """Per thread: the state of its own default stream, in a data worker."""

    state: Any = None


_own = _Own()
default_generator = DefaultGenerator()


def use_own_stream(seed: int) -> None:
    """From now on this thread's draws have a stream of their own, which starts from `seed`."""
    _own.state = _state_tensor(checked_seed(seed))


def manual_seed(seed: Any) -> Generator:
    """Seeds the default generator."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator at random; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state (uint8, 5056 bytes)."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Sets the default generator's state."""
    default_generator.set_state(new_state)


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = [
    "Generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
]  # fmt: skip
