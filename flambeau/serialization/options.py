"""What can be set for all files: checksums, byte order, mapping, and which names may be loaded."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from enum import Enum
from typing import Any


class LoadEndianness(Enum):
    """The byte order taken for files that do not name theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


PRIVATE: int = getattr(mmap, "MAP_PRIVATE", 2)


class _Settings:
    crc32 = True
    endianness: LoadEndianness | None = None
    mmap_flags = PRIVATE


SETTINGS = _Settings()


def get_crc32_options() -> bool:
    """Whether `save` computes checksums."""
    return SETTINGS.crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Chooses whether `save` computes checksums (other zip readers ask for them)."""
    SETTINGS.crc32 = compute_crc32


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order of files that do not name theirs; None: little."""
    return SETTINGS.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Chooses the byte order of files that do not name theirs. TypeError for other types."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    SETTINGS.endianness = endianness


def get_default_mmap_options() -> int:
    """The flags of load(mmap=True): mmap.MAP_PRIVATE."""
    return SETTINGS.mmap_flags


@contextlib.contextmanager
def set_default_mmap_options(flags: int) -> Iterator[None]:
    """Other flags of load(mmap=True) within a `with` block: MAP_PRIVATE or MAP_SHARED."""
    if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        raise ValueError(
            "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or "
            f"mmap.MAP_SHARED, but got {flags}"
        )
    before = SETTINGS.mmap_flags
    SETTINGS.mmap_flags = flags
    try:
        yield
    finally:
        SETTINGS.mmap_flags = before


# ---- names that weights_only=True may use beyond the known ones --------------------------------

_safe: list[Any] = []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Lets load(weights_only=True) build these classes and call these functions.

    An item is one of them, or (it, "module.name as in the file").
    """
    for item in safe_globals:
        if item not in _safe:
            _safe.append(item)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` was given."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Forgets what `add_safe_globals` was given."""
    _safe.clear()


@contextlib.contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """`add_safe_globals` for a `with` block."""
    before = list(_safe)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe[:] = before
