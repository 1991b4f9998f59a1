"""The functions that checkpoint files call, under PyTorch's names: they make tensors of storages.

Each checks what it is given: a file must not make a view of memory that is not its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.core.layout import Layout, sparse_coo, sparse_csc, sparse_csr
from flambeau.core.shapes import storage_extent
from flambeau.core.size import Size
from flambeau.functional.memory import TypedStorage, UntypedStorage
from flambeau.record.meta import meta_of
from flambeau.record.storage import Storage
from flambeau.tensor.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor, from_storage


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or not all(type(n) is int for n in values):
        raise TypeError("sizes and strides of a tensor must be tuples of integers")
    return tuple(values)


def _made(
    storage: Any, dtype: DType, offset: Any, size: Any, stride: Any, requires_grad: Any
) -> Tensor:
    if not isinstance(storage, (TypedStorage, UntypedStorage)):
        raise TypeError(f"a tensor's storage is a {type(storage).__name__}")
    memory: Storage = storage.untyped()._storage
    shape, strides = _sizes(size), _sizes(stride)
    if type(offset) is not int or len(shape) != len(strides):
        raise TypeError("a tensor's offset must be an integer, its strides as many as its sizes")
    if offset < 0 or any(n < 0 for n in (*shape, *strides)):
        raise RuntimeError("a tensor with a negative size, stride or offset")
    count = 1
    for n in shape:
        count *= n
    if count >= 2**62 or any(n >= 2**62 for n in (*shape, *strides, offset)):
        raise RuntimeError("a tensor too large for any memory")
    reach = (offset + storage_extent(shape, strides)) * dtype.itemsize
    if 0 not in shape and reach > memory.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {dtype.itemsize} requiring a storage size of {reach} are out of bounds "
            f"for storage of size {memory.nbytes}"
        )
    made = from_storage(memory, meta_of(dtype, Size(shape), strides), offset)
    return made.requires_grad_() if requires_grad else made


def rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Tensor:
    """A view of a storage."""
    return _made(storage, storage.dtype, storage_offset, size, stride, False)


def rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    """A view of a storage of elements."""
    return _made(storage, storage.dtype, storage_offset, size, stride, requires_grad)


def rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """A view of a storage of bytes."""
    if not isinstance(dtype, DType):
        raise TypeError("a tensor's dtype is none")
    return _made(storage, dtype, storage_offset, size, stride, requires_grad)


def rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    """A parameter with the data of a tensor."""
    if not isinstance(data, Tensor):
        raise TypeError("a parameter's data is no tensor")
    return Parameter(data, requires_grad=bool(requires_grad))


def rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Any:
    """A parameter with attributes of its own."""
    return with_attributes(rebuild_parameter(data, requires_grad, backward_hooks), state)


def rebuild_from_type_v2(func: Any, new_type: Any, args: Any, state: Any) -> Any:
    """A tensor with attributes of its own, or of a class of its own."""
    if func not in FUNCTIONS.values():
        raise TypeError("a tensor is made by an unknown function")
    made = func(*args)
    if isinstance(state, dict) and state.get("_is_buffer"):
        kept = {key: value for key, value in state.items() if key != "_is_buffer"}
        made = Buffer(made, persistent=bool(kept.pop("persistent", True)))
        return with_attributes(made, kept)
    if new_type is not Tensor and not isinstance(made, new_type):
        made = made.as_subclass(new_type)
    return with_attributes(made, state)


def with_attributes(made: Any, state: Any) -> Any:
    """The tensor with the attributes of `state`; those that would hide the class's are refused."""
    if isinstance(state, tuple) and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    for name, value in (state or {}).items():
        if not isinstance(name, str) or hasattr(type(made), name) or name.startswith("__"):
            raise TypeError(f"a tensor's attribute {str(name)[:40]!r} is the class's own")
        setattr(made, name, value)
    return made


def get_layout(name: Any) -> Layout:
    """The layout of that name ("torch.sparse_coo")."""
    found = LAYOUTS.get(name)
    if found is None:
        raise TypeError(f"{str(name)[:40]!r} is no layout")
    return found


def rebuild_sparse_tensor(layout: Any, data: Any) -> Any:
    """A sparse tensor of its parts; places that lie outside its size are refused."""
    from flambeau.functional import sparse_making as making

    if not isinstance(layout, Layout) or not isinstance(data, tuple):
        raise TypeError("a sparse tensor's layout or parts are none")
    if layout is sparse_coo and len(data) in (3, 4):
        places, values, size, *rest = data
        made = making.sparse_coo_tensor(places, values, size, check_invariants=True)
        return made.coalesce() if rest == [True] else made
    if layout in (sparse_csr, sparse_csc) and len(data) == 4:
        _check_compressed(*data, axis=0 if layout is sparse_csr else 1)
        make = making.sparse_csr_tensor if layout is sparse_csr else making.sparse_csc_tensor
        return make(*data)
    raise NotImplementedError(f"a sparse tensor of layout {layout} in a file")


def _check_compressed(starts: Any, plain: Any, values: Any, size: Any, axis: int) -> None:
    """RuntimeError where a compressed matrix' parts do not fit together."""
    for part in (starts, plain, values):
        if not isinstance(part, Tensor) or part.ndim != 1:
            raise TypeError("a part of a sparse matrix is no vector")
    rows, columns = _sizes(tuple(size))[:: -1 if axis else 1]
    first, places = starts.tolist(), plain.tolist()
    fits = (
        starts.dtype.kind == plain.dtype.kind == "i"
        and len(first) == rows + 1
        and first[0] == 0
        and first[-1] == len(places) == values.numel()
        and first == sorted(first)
        and all(0 <= place < columns for place in places)
    )
    if not fits:
        raise RuntimeError("a sparse matrix whose indices do not fit its size")


# What of PyTorch's these would make is named in the refusal.
MISSING = {
    "_rebuild_qtensor": "a quantized tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor of the device meta",
    "_rebuild_wrapper_subclass": "a wrapper subclass of Tensor",
    "_rebuild_device_tensor_from_numpy": "a tensor of another device",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor of another device",
}
LAYOUTS = {str(layout): layout for layout in (sparse_coo, sparse_csr, sparse_csc)}
FUNCTIONS = {
    "_rebuild_sparse_tensor": rebuild_sparse_tensor,
    "_get_layout": get_layout,
    "_rebuild_tensor": rebuild_tensor,
    "_rebuild_tensor_v2": rebuild_tensor_v2,
    "_rebuild_tensor_v3": rebuild_tensor_v3,
    "_rebuild_parameter": rebuild_parameter,
    "_rebuild_parameter_with_state": rebuild_parameter_with_state,
    "_rebuild_from_type_v2": rebuild_from_type_v2,
}
NO_HOOKS: Any = OrderedDict
