"""Making a batch of samples."""

from __future__ import annotations

import collections.abc
import copy
from typing import Any

import numpy as np

from flambeau.functional.joining import settled_arrays
from flambeau.nn._torch import Tensor, as_tensor, float64, stack, tensor
from flambeau.record.meta import meta_of
from flambeau.record.storage import Storage, allocate
from flambeau.tensor.tensor import from_storage

_FOUND = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays within `data` into tensors; leave the rest as it is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUaO" else as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(d) for d in data])
    return data


def _like(model: Any, new: Any) -> Any:
    """Return `new` (a dict or list) as a container of the model's type, if it can be one."""
    try:
        if isinstance(model, collections.abc.MutableMapping):
            clone: Any = copy.copy(model)
            clone.update(new)
            return clone
        if isinstance(model, collections.abc.MutableSequence):
            clone = copy.copy(model)
            for i, value in enumerate(new):
                clone[i] = value
            return clone
        kind: Any = type(model)
        return kind(new)
    except TypeError:
        # A type whose constructor takes something else.
        return new


def stack_samples(samples: Any) -> Any:
    """Stack equal tensors along a new first axis; those that hold their data here and now."""
    shape = samples[0]._meta.shape
    try:
        alike = all(sample._meta.shape == shape for sample in samples)
    except AttributeError:  # one that is no tensor, which `stack` refuses
        alike = False
    if alike:
        arrays = settled_arrays(samples)
        if arrays is not None:
            dtype = samples[0]._meta.dtype
            storage = Storage(allocate(samples[0]._meta.numel * len(samples) * dtype.itemsize))
            np.stack(arrays, out=storage.array(dtype).reshape(len(samples), *shape))
            return from_storage(storage, meta_of(dtype, (len(samples), *shape)))
    return stack(list(samples), 0)


def default_collate(batch: Any) -> Any:
    """Stack a list of samples: tensors, arrays, numbers, and dicts or sequences of these."""
    first = batch[0]
    if isinstance(first, Tensor):
        return stack_samples(batch)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUaO":
            raise TypeError(_FOUND.format(first.dtype))
        return as_tensor(np.stack(batch))
    if isinstance(first, np.generic) and first.dtype.kind not in "SUaO":
        return as_tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, collections.abc.Mapping):
        return _like(first, {key: default_collate([s[key] for s in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in zip(*batch)))
    if isinstance(first, collections.abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _like(first, columns)
    raise TypeError(_FOUND.format(type(first)))
