"""Rarer tensor methods; and those of layouts that do not exist here, which say so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.errors import not_a_tensor
from flambeau.core.size import Size
from flambeau.functional.folding import checked
from flambeau.functional.from_data import tensor
from flambeau.functional.inplace import copy_, resize_, resize_as_
from flambeau.functional.options import checked_dtype
from flambeau.functional.rearranging import flip
from flambeau.functional.reduction import sum as sum_of
from flambeau.functional.views import expand, view_as
from flambeau.record import recorder
from flambeau.record.recorder import LOCAL
from flambeau.tensor.overriding import call_plainly, check_class
from flambeau.tensor.tensor import Tensor, retype

# ---- shapes --------------------------------------------------------------------------------------


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed where `size` has 1 or nothing: what undoes a broadcast from `size`."""
    target = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    shape = tuple(self.shape)
    if not target:
        return sum_of(self)
    lead = len(shape) - len(target)
    fits = lead >= 0 and all(m in (1, n) for n, m in zip(shape[lead:], target))
    if not fits:
        raise RuntimeError(f"size {{{list(target)}}} is not expandable to size {{{list(shape)}}}.")
    if target == shape:
        return view_as(self, self)
    inner = [lead + a for a, m in enumerate(target) if m == 1 and shape[lead + a] != 1]
    made: Tensor = sum_of(self, inner, True) if inner else self
    return sum_of(made, list(range(lead))) if lead else made


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return checked("is_same_size", input).shape == other.shape


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("is_nonzero", "input", 1, input)
    return bool(input)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes broadcast to."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for shape in given:
        for extent in shape:
            if extent < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension ({extent}): ({extent})"
                )
    common = [1] * max((len(shape) for shape in given), default=0)
    for number, shape in enumerate(given):
        for axis in range(-1, -1 - len(shape), -1):
            if common[axis] != 1 and shape[axis] not in (1, common[axis]):
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {shape[axis]} at {axis}! "
                    f"Mismatching argument at index {number} had {shape}; but expected shape "
                    f"should be broadcastable to {common}"
                )
            if shape[axis] != 1:
                common[axis] = shape[axis]
    return Size(common)


def scalar_tensor(
    s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A 0-d tensor with a number's value, by default of the default dtype."""
    from flambeau.functional.options import checked_options

    checked_options(device, layout, pin_memory)
    kind = checked_dtype(dtype) if dtype is not None else dtypes.get_default_dtype()
    if dtype is None and isinstance(s, complex):
        kind = dtypes.complex64
    return tensor(s, dtype=kind, requires_grad=requires_grad)


def reversed_(self: Tensor) -> Tensor:
    """The rows in reverse order: `reversed(tensor)`."""
    return flip(self, 0) if self.ndim else self


# ---- Python functions of elements ----------------------------------------------------------------


def _applied(name: str, self: Tensor, others: tuple[Tensor, ...], callable: Any) -> Tensor:
    if self.requires_grad and LOCAL.grad_mode:
        raise TypeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )
    for other in others:
        if other.dtype is not self.dtype:
            raise TypeError(
                f"{name}: expected {self.type()} for argument 'other' (got {other.type()})"
            )
    operands = [self, *(expand(other, *self.shape) for other in others)]
    columns = [np.asarray(v._values()).ravel().tolist() for v in operands]
    found = [callable(*row) for row in zip(*columns)]
    copy_(self, tensor(found, dtype=self.dtype).reshape(tuple(self.shape)))
    return self


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Every element replaced by a Python function of it, in place. Slow."""
    return _applied("apply_", self, (), callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Every element replaced by callable(it, the other tensor's), in place. Slow."""
    return _applied("map_", self, (tensor,), callable)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Every element replaced by callable(it, x's, y's), in place. Slow."""
    return _applied("map2_", self, (x, y), callable)


# ---- the tensor itself ---------------------------------------------------------------------------


def _no_change(self: Tensor, *args: Any, **options: Any) -> Tensor:
    """The tensor itself: it is strided and holds plain numbers already."""
    return self


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
    """The tensor itself (in `dtype` if given): it is dense already."""
    made: Tensor = self if dtype is None else self.to(dtype)
    return made


def _resized(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(self: Tensor, *args: Any) -> Tensor:
        warnings.warn(f"non-inplace {name} is deprecated", UserWarning, stacklevel=2)
        template = tuple(args[0].shape) if name == "resize_as" else None
        if template is None:
            template = tuple(args[0]) if hasattr(args[0], "__iter__") else args
        made: Tensor = self.reshape(template)
        return made

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"{function.__name__} of a view (deprecated in PyTorch)."
    return apply


def as_subclass(self: Tensor, cls: type) -> Any:
    """The same data as an instance of a subclass of Tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError("as_subclass(): cls must be a subclass of Tensor")
    check_class(cls)
    if self._storage is None or self._meta.requires_grad:
        made: Any = call_plainly(view_as, (), (self, self))
        made.__class__ = cls
        return made
    self._settled()
    return retype(self, cls)


def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """How Module.load_state_dict brings `other` into this tensor: detached, or a copy of it."""
    made: Tensor = (other if assign else copy_(self, other)).detach()
    return made


def delete_item(self: Tensor, index: Any) -> None:
    raise TypeError("Tensor does not support deleting items")


def is_view(self: Tensor) -> bool:
    """Whether the tensor was made as a view of another one's history."""
    trace = recorder.pending_trace(self)
    if trace is not None:
        return bool(trace.tensors[self._num].output >= 0)
    family = self._family
    if family is None or (self._meta.is_leaf and family.leaf is self):
        return False
    return family.base is None or family.base() is not self


def chalf(self: Tensor, memory_format: Any = None) -> Tensor:
    """Refused: there is no complex dtype of half precision."""
    raise NotImplementedError("chalf(): the dtype complex32 is not supported")


def backend_method(name: str) -> Callable[..., Any]:
    def refuse(self: Tensor, *args: Any, **options: Any) -> Any:
        raise RuntimeError(f"PyTorch is not linked with support for {name} devices")

    refuse.__name__ = name
    refuse.__doc__ = f"RuntimeError: there is no support for {name} devices."
    return refuse


# ---- what does not exist here --------------------------------------------------------------------

# PyTorch raises RuntimeError in these words where the tensor is strided.
_EXPECTED_LAYOUT = {
    "coalesce": "sparse coordinate tensor layout", "indices": "sparse coordinate tensor layout",
    "is_coalesced": "sparse coordinate tensor layout", "values": "sparse tensor layout",
    "_indices": "sparse coordinate tensor layout", "_values": "sparse tensor layout",
    "crow_indices": "sparse row compressed tensor layout",
    "col_indices": "sparse row compressed tensor layout",
    "ccol_indices": "sparse column compressed tensor layout",
    "row_indices": "sparse column compressed tensor layout",
}  # fmt: skip
_SPARSE = "sparse_resize_ sparse_resize_and_clear_ resize_as_sparse_".split()
_QUANTIZED = """
q_scale q_zero_point q_per_channel_axis q_per_channel_scales q_per_channel_zero_points qscheme
int_repr
""".split()
_OTHERS = {
    "to_padded_tensor": "nested tensors are", "to_mkldnn": "the layout mkldnn is",
    "hash_tensor": "hash_tensor is", "index": "first-class dimensions are",
}  # fmt: skip
_REMOVED = {
    "symeig": "torch.linalg.eigh", "lstsq": "torch.linalg.lstsq", "eig": "torch.linalg.eig",
    "solve": "torch.linalg.solve", "reinforce": "torch.distributions",
}  # fmt: skip


def _wrong_layout(name: str, wanted: str) -> Callable[..., Any]:
    def refuse(self: Tensor, *args: Any, **options: Any) -> Any:
        raise RuntimeError(f"{name} expected {wanted} but got Strided")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Refused, as by PyTorch where the tensor is not sparse."
    return refuse


def _unsupported(name: str, what: str) -> Callable[..., Any]:
    def refuse(self: Tensor, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{name}(): {what} not supported")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Refused: {what} not supported."
    return refuse


def _removed(name: str, instead: str) -> Callable[..., Any]:
    def refuse(self: Tensor, *args: Any, **options: Any) -> Any:
        raise RuntimeError(
            f"This function was deprecated since version 1.9 and is now removed: {name}(). Use "
            f"{instead} instead."
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Removed from PyTorch: use {instead}."
    return refuse


def dense_dim(self: Tensor) -> int:
    """Number of dimensions that are stored densely: all of them."""
    return self.dim()


def sparse_dim(self: Tensor) -> int:
    """Number of dimensions that are stored sparsely: 0."""
    return 0


def grad_dtype(self: Tensor) -> Any:
    """The dtype of its gradient; None for what is no leaf."""
    return self.dtype if self.is_leaf else None


def _constant(value: Any, said: str) -> Callable[[Any], Any]:
    """A property that is the same for all tensors."""

    def constant(self: Any) -> Any:
        return value

    constant.__doc__ = said
    return constant


METHODS: dict[str, Callable[..., Any]] = {
    **{name: _wrong_layout(name, wanted) for name, wanted in _EXPECTED_LAYOUT.items()},
    **{name: _unsupported(name, "changing the size of sparse tensors is") for name in _SPARSE},
    **{name: _unsupported(name, "quantized tensors are") for name in _QUANTIZED},
    **{name: _unsupported(name, what) for name, what in _OTHERS.items()},
    **{name: _removed(name, instead) for name, instead in _REMOVED.items()},
    **{name: backend_method(name) for name in ("xpu", "ipu", "mtia")},
    "sum_to_size": sum_to_size, "is_same_size": is_same_size, "is_nonzero": is_nonzero, "apply_":
    apply_, "map_": map_, "map2_": map2_, "to_dense": to_dense, "dequantize": _no_change,
    "resize": _resized("resize", resize_), "resize_as": _resized("resize_as", resize_as_),
    "as_subclass": as_subclass, "module_load": module_load, "__reversed__": reversed_,
    "__delitem__": delete_item, "_is_view": is_view, "dense_dim": dense_dim,
    "sparse_dim": sparse_dim, "chalf": chalf,
}  # fmt: skip
del METHODS["_values"]  # Tensor's own: the data on the host
PROPERTIES: dict[str, Callable[[Any], Any]] = {
    "name": _constant(None, "None: tensors have no names."),
    "volatile": _constant(False, "False: what it was for, torch.no_grad() does."),
    "grad_dtype": grad_dtype,
    "_has_symbolic_sizes_strides": _constant(False, "False: sizes are numbers."),
    "is_sparse_csr": _constant(False, "Whether it is a sparse tensor of compressed rows."),
    **{
        name: _constant(False, "Whether it is on such a device: False.")
        for name in "is_ipu is_maia is_mtia is_vulkan is_xla is_xpu".split()
    },
}
__all__ = ["broadcast_shapes", "is_same_size", "scalar_tensor"]
