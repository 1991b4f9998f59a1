"""What all sparse layouts share.

A sparse tensor is a few dense ones: integer tensors that say where, and `_entries` with the
values, which carry the history for autograd. Everything here is written in terms of ops on these,
so gradients reach the values. What is not here raises NotImplementedError: a dense op that meets a
sparse tensor asks for its place in the recording, and it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.layout import Layout
from flambeau.functional.from_data import from_numpy
from flambeau.record.meta import meta_of
from flambeau.tensor.tensor import Tensor

# Methods here take fewer arguments than those of dense tensors, so types are not compared.
Base: Any = Tensor
Integers = npt.NDArray[np.int64]

# Functions that keep zero, so that they apply to the values alone.
ZERO_PRESERVING = """
abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor frac isinf isnan isneginf isposinf
log1p positive rad2deg relu round sgn sign signbit sin sinh sqrt square tan tanh trunc
""".split()


class _NoPlace:
    """Stands for the place in a recording, which a sparse tensor does not have."""

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        raise NotImplementedError(
            f"this is not supported for tensors of the layout {tensor.layout}: call .to_dense() "
            "first"
        )


def host(indices: Tensor) -> Integers:
    """An integer tensor's data."""
    found: Integers = np.asarray(indices.detach().numpy(), np.int64)
    return found


def as_tensor(array: Any) -> Tensor:
    """A tensor with a copy of an integer array."""
    return from_numpy(np.ascontiguousarray(array, np.int64))


class Sparse(Base):  # type: ignore[misc]
    """What all sparse layouts share."""

    _rec: Any = _NoPlace()
    _entries: Tensor
    _own: bool
    _backward_name: str | None
    layout_: Layout
    layout_word: str
    is_sparse = False

    def _describe(self, size: Sequence[int], entries: Tensor, own: bool, name: str | None) -> None:
        """Notes what it is; `own`: it is a leaf itself, `name`: its grad_fn's name."""
        self._entries, self._own, self._backward_name = entries, own, name
        self._meta = meta_of(
            entries.dtype, tuple(size), requires_grad=entries.requires_grad,
            is_leaf=own or not entries.requires_grad,
        )  # fmt: skip

    def _like(self, entries: Tensor, name: str | None = None, own: bool = False) -> Any:
        """The same places with other values."""
        raise NotImplementedError

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def layout(self) -> Any:
        return self.layout_

    def _nnz(self) -> int:
        """How many entries are stored."""
        raise NotImplementedError

    @property
    def grad(self) -> Any:
        """The gradient of a sparse leaf: at its own places."""
        inner = self._entries.grad if self._own else None
        return None if inner is None else self._like(inner)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._entries.grad = None if value is None else value.coalesce().values()

    @property
    def grad_fn(self) -> Any:
        return None if self._own else self._entries.grad_fn

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Turns gradient recording of a leaf on or off."""
        self._entries = self._entries.detach() if not self._own else self._entries
        self._describe(self.shape, self._entries.requires_grad_(requires_grad), True, None)
        return self

    def stride(self, dim: int | None = None) -> Any:
        """Zeros: there are no strides."""
        return (0,) * self.dim() if dim is None else 0

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """False: there are no strides."""
        return False

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The legacy name of the type; with a dtype, converted."""
        if dtype is not None:
            return self.to(dtype)
        return self._entries.type().replace("torch.", "torch.sparse.")

    def numpy(self, *, force: bool = False) -> Any:
        """TypeError: arrays are dense."""
        raise TypeError(
            f"can't convert {self.layout_word} layout tensor to numpy. Use Tensor.to_dense() first."
        )

    def tolist(self) -> Any:
        """RuntimeError: call .to_dense() first."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def data_ptr(self) -> int:
        """RuntimeError: there is no single memory."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def storage(self) -> Any:
        """NotImplementedError: there is no single memory."""
        raise NotImplementedError("Cannot access storage of SparseTensorImpl")

    untyped_storage = storage

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from flambeau.functional.sparse_printing import sparse_repr

        return sparse_repr(self)

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec)

    # ---- copies ----------------------------------------------------------------------------------

    def detach(self) -> Any:
        """The same without history."""
        return self._like(self._entries.detach())

    @property
    def data(self) -> Any:
        return self.detach()

    def clone(self, *, memory_format: Any = None) -> Any:
        """A copy."""
        return self._like(self._entries.clone(), "CloneBackward0")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = self._entries.detach().clone()
            memo[id(self)] = self._like(copied.requires_grad_(self.requires_grad), own=self._own)
        return memo[id(self)]

    def to(self, *args: Any, **options: Any) -> Any:
        """The same with values of another dtype; itself where nothing changes."""
        entries = self._entries.to(*args, **options)
        same = entries is self._entries
        return self if same else self._like(entries, "ToCopyBackward0")

    def cpu(self, memory_format: Any = None) -> Any:
        """Itself: it is on the CPU."""
        return self

    def pin_memory(self, device: Any = None) -> Any:
        """Itself."""
        return self

    # ---- arithmetic that is the same for all layouts ---------------------------------------------

    def neg(self) -> Any:
        """The negative values."""
        return self._like(-self._entries, "NegBackward0")

    __neg__ = negative = neg

    def _scaled(self, factor: Any, divide: bool = False) -> Any:
        if isinstance(factor, Tensor) and factor.dim():
            return None
        made = self._entries / factor if divide else self._entries * factor
        return self._like(made, "DivBackward0" if divide else "MulBackward0")

    def div(self, other: Any) -> Any:
        """Divided by a number. RuntimeError for other tensors."""
        made = self._scaled(other, divide=True)
        if made is None:
            raise RuntimeError(
                "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
                f"{list(other.shape)} for divisor)"
            )
        return made

    __truediv__ = divide = true_divide = div

    def matmul(self, other: Any) -> Any:
        """The matrix product with a dense or sparse matrix, or a dense vector."""
        from flambeau.functional.sparse_products import product

        return product(self, other)

    mm = mv = matmul

    def __matmul__(self, other: Any) -> Any:
        return self.matmul(other) if isinstance(other, Tensor) else NotImplemented

    def __rmatmul__(self, other: Any) -> Any:
        from flambeau.functional.sparse_products import product

        return product(other, self) if isinstance(other, Tensor) else NotImplemented

    def __add__(self, other: Any) -> Any:
        return self.add(other)

    def __mul__(self, other: Any) -> Any:
        return self.mul(other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Any:
        return self.sub(other)

    def __pow__(self, other: Any) -> Any:
        return self.pow(other)

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        """self - alpha * other."""
        return self.add(other, alpha=-alpha)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool = True) -> Any:
        """The dense tensor with these values, zero elsewhere.

        The gradient is taken at the stored places; NotImplementedError for masked_grad=False.
        """
        if not masked_grad:
            raise NotImplementedError("to_dense() with masked_grad=False is not supported")
        made = self._coordinates().dense()
        return made if dtype is None else made.to(dtype)

    def _whole(self) -> Any:
        """The same with each place once."""
        return self

    def _coordinates(self) -> Any:
        raise NotImplementedError

    def to_sparse_coo(self) -> Any:
        """The same in coordinates."""
        return self._coordinates()


def _unary(name: str) -> Callable[..., Any]:
    def apply(self: Any) -> Any:
        whole = self._whole()
        return whole._like(getattr(whole._entries, name)(), f"{name.capitalize()}Backward0")

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"{name} of the values (it keeps zero)."
    return apply


def _conversion(dtype: DType) -> Callable[..., Any]:
    return lambda self, memory_format=None: self.to(dtype)


for _name in ZERO_PRESERVING:
    setattr(Sparse, _name, _unary(_name))
Sparse.__abs__ = Sparse.abs
for _name in "double float half bfloat16 int long short bool cfloat cdouble".split():
    setattr(
        Sparse,
        _name,
        lambda self, memory_format=None, _dtype=dtypes.BY_NAME[_name]: self.to(_dtype),
    )
