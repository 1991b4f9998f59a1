"""When the system has no more memory: what can be given back, and who holds the rest."""

from __future__ import annotations

import gc
import sys

from flambeau.record.handle import Handle
from flambeau.record.result_memory import RESULT_MEMORY
from flambeau.record.storage import Storage

HOLDERS = 3  # that a message names
WORTH_NAMING = 1 << 20  # bytes


def give_back() -> None:
    """Frees what plans keep for their next run, and what only the garbage collector finds."""
    RESULT_MEMORY.give_back()
    gc.collect()


def holders() -> str:
    """The tensors that hold most memory, a line; empty where none holds much."""
    found: dict[int, tuple[Storage, Handle]] = {}
    try:
        for thing in gc.get_objects():
            # isinstance would ask proxies of other libraries for their class
            if issubclass(type(thing), Handle) and thing._storage is not None:
                found.setdefault(id(thing._storage), (thing._storage, thing))
        largest = sorted(found.values(), key=lambda pair: -pair[0].nbytes)[:HOLDERS]
        whole = sum(storage.nbytes for storage, _ in found.values())
    except MemoryError:
        return ""
    if not largest or largest[0][0].nbytes < WORTH_NAMING:
        return ""
    named = ", ".join(_named(storage, tensor) for storage, tensor in largest)
    return f"{len(found)} tensors hold {_megabytes(whole)}; the largest: {named}"


def _named(storage: Storage, tensor: Handle) -> str:
    meta = tensor._meta
    kind = "parameter" if meta.is_leaf and meta.requires_grad else "tensor"
    return f"{kind} {meta.dtype.name}{list(meta.shape)} with {_megabytes(storage.nbytes)}"


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.1f} MiB"


def explained(message: str) -> str:
    """An error's message with a line about who holds the memory."""
    known = "" if sys.is_finalizing() else holders()
    return f"{message}\n{known}" if known else message
