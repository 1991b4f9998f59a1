"""Tensors over memory of their own, made at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.record.entering import PLAIN
from flambeau.record.meta import Meta
from flambeau.record.recorder import done_by_python
from flambeau.record.storage import Buffer, Storage, allocate
from flambeau.tensor.tensor import Tensor, from_storage


def fresh(meta: Meta, fill: int | None = None) -> Tensor:
    """A tensor over new memory, filled with these 8 bytes, if any; nothing is recorded."""
    if PLAIN.fresh is not None:
        made: Tensor | None = PLAIN.fresh(meta, fill)
        if made is not None:
            return made
    done_by_python()
    nbytes = meta.numel * meta.dtype.itemsize
    storage = Storage(allocate(nbytes + -nbytes % 8))
    storage.buffer.nbytes = nbytes
    if fill is not None:
        storage.buffer.shown((-(-nbytes // 8),), np.int64, 0, None).fill(fill)
    return from_storage(storage, meta)


def over(meta: Meta, owner: Any, nbytes: int, exposed: bool) -> Tensor:
    """A tensor over the memory of an array (NumPy's, or of the module `array`) that lies in one
    piece; `exposed`: others have the array, too.
    """
    if PLAIN.over is not None and nbytes:
        made: Tensor | None = PLAIN.over(meta, owner, nbytes, exposed)
        if made is not None:
            return made
    done_by_python()
    storage = Storage(Buffer(owner, address_of(owner) if nbytes else 0, nbytes, 0))
    if exposed:
        storage.exposed, storage.foreign = True, owner
    return from_storage(storage, meta)
