"""Writes to plain data, done at once.

Where no program that waits has to do with a tensor's memory and autograd does not watch, a small
write is done when the statement runs: a number that goes to one element costs less than its event.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import overlaps_itself
from flambeau.functional import plain_answers
from flambeau.functional.options import as_element
from flambeau.record.meta import Meta
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL, at_rest, flush
from flambeau.tensor.tensor import READERS, Tensor

FEW = 16  # events that run before a write, and are no part of its program
SMALL = 1 << 14  # elements; more are left to compiled code


def writable(x: Tensor) -> bool:
    """Whether a write to x needs no event: x holds its data, nothing pending reads or writes its
    memory, and neither autograd nor a compiled function nor an observer watches.
    """
    storage = x._storage
    if storage is None or x._meta.requires_grad or storage.readers:
        return False
    rec, family = storage.recording, x._family
    return (
        (rec is None or rec.done)
        and (family is None or (family.frame is None and family.leaf is None))
        and LOCAL.capture is None
        and WATCH.observer is None
        and not OPTIONS.sync
    )


def write(x: Tensor, shown: Meta, distance: int, value: Any) -> bool:
    """Writes a number, or a tensor of that shape or without dimensions, to a view of x (laid out
    as `shown`, `distance` elements behind its first one); False where that needs an event.
    """
    if shown.numel > SMALL or x._meta.requires_grad:
        return False
    kind = type(value)
    tensor = kind is not float and kind is not int and isinstance(value, Tensor)
    if LOCAL.rec.state.ops:
        settle(x, value if tensor else x)
    dtype = shown.dtype
    if not tensor:
        source = as_element(value, dtype)
        if source is None:
            return False
        if plain_answers.write(x, shown, distance, source, None):
            return True
    elif same_kind(value._meta, shown) and plain_answers.write(x, shown, distance, None, value):
        return True
    if not writable(x):
        return False
    storage = x._storage
    assert storage is not None
    start = (x._offset + distance) * dtype.itemsize
    if tensor:
        if not plain_source(value, shown) or value._storage is storage:
            return False
        source = data(value)
    buffer = storage.buffer
    storage.version += 1
    if x._meta.silent:
        storage.silent += 1
    if not (tensor or shown.shape):
        reader = READERS.get(dtype)
        if reader is not None:
            reader(buffer.address + start).value = source
            return True
    if shown.numel:
        target = buffer.shown(shown.extents, dtype.numpy, start, shown.steps)
        if tensor:
            target[...] = source
        else:
            target.fill(source)
    return True


def settle(x: Tensor, value: Tensor) -> None:
    """Runs what is pending where a write to x waits for little else than its value: programs that
    write one place after another would else be new ones all the time.
    """
    rec = LOCAL.rec
    state = rec.state
    few = state.ops <= FEW and not state.tracked
    if few and LOCAL.capture is None and not LOCAL.levels:
        storage = x._storage
        if x._rec is rec or value._rec is rec or (storage and storage.recording is rec):
            flush()


def fill_chosen(x: Tensor, mask: Tensor, value: Any) -> bool:
    """Writes a number to the elements of x where a mask of its first dimensions holds; False where
    that needs an event: also where something waits, since such an event is the same for all masks.
    """
    meta, chooses = x._meta, mask._meta
    if (
        chooses.dtype is not dtypes.bool_
        or meta.numel > SMALL
        or meta.requires_grad
        or not chooses.shape
        or meta.extents[: len(chooses.extents)] != chooses.extents
    ):
        return False
    element = as_element(value, meta.dtype)
    if element is None:
        return False
    if plain_answers.fill_chosen(x, mask, element):
        return True
    holds = mask._storage
    if holds is None or not (at_rest(holds) and writable(x)) or _overlapping(meta):
        return False
    target, places = data(x), data(mask)
    storage = x._storage
    assert storage is not None
    storage.version += 1
    if meta.silent:
        storage.silent += 1
    target[places] = element
    return True


@lru_cache(maxsize=1 << 10)
def _overlapping(meta: Meta) -> bool:
    return overlaps_itself(meta.shape, meta.strides)


def data(x: Tensor) -> Any:
    """The array of a tensor that is at rest, in storage form."""
    storage, meta = x._storage, x._meta
    assert storage is not None
    if not meta.numel:
        return np.empty(meta.extents, meta.dtype.numpy)
    start = x._offset * meta.dtype.itemsize
    return storage.buffer.shown(meta.extents, meta.dtype.numpy, start, meta.steps)


def plain_source(value: Tensor, shown: Meta) -> bool:
    """Whether a tensor can be copied at once to what has this meta."""
    meta, storage = value._meta, value._storage
    return (
        storage is not None
        and at_rest(storage)
        and same_kind(meta, shown)
        and not (meta.requires_grad and LOCAL.grad_mode)
    )


def same_kind(meta: Meta, shown: Meta) -> bool:
    """Whether what has this meta can be copied as it is."""
    return meta.dtype is shown.dtype and (not meta.extents or meta.extents == shown.extents)
