"""Sparse tensors in coordinates (PyTorch's layout sparse_coo)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.layout import sparse_coo
from flambeau.functional.creation import zeros
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat, stack
from flambeau.functional.sparse_tensors import Integers, Sparse, as_tensor, host
from flambeau.tensor.tensor import Tensor


class SparseCOO(Sparse):
    """Indices [sparse_dim, nnz] and values [nnz, *dense sizes]; repeated places add up."""

    layout_ = sparse_coo
    layout_word = "Sparse"
    is_sparse = True
    _places: Tensor
    _unique: bool

    @staticmethod
    def of(
        places: Tensor, entries: Tensor, size: Sequence[int], unique: bool,
        name: str | None = None, own: bool = False,
    ) -> SparseCOO:  # fmt: skip
        """A tensor of these parts; `unique`: the places are sorted and differ."""
        made: SparseCOO = object.__new__(SparseCOO)
        made._places, made._unique = places, unique
        made._describe(size, entries, own, name)
        return made

    def _like(self, entries: Tensor, name: str | None = None, own: bool = False) -> SparseCOO:
        return SparseCOO.of(self._places, entries, self.shape, self._unique, name, own)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return SparseCOO.of, (self._places, self._entries.detach(), tuple(self.shape), self._unique)

    def _coordinates(self) -> SparseCOO:
        return self

    # ---- its parts -------------------------------------------------------------------------------

    def _indices(self) -> Tensor:
        return self._places

    def _values(self) -> Any:
        # Users ask for the entries; inside the package this is how ops read a tensor on the host.
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller.startswith("flambeau.") and ".sparse" not in caller:
            return self._rec
        return self._entries

    def _nnz(self) -> int:
        return self._places.size(1)

    def sparse_dim(self) -> int:
        """How many dimensions the indices have."""
        return self._places.size(0)

    def dense_dim(self) -> int:
        """How many dimensions each value has."""
        return self._entries.dim() - 1

    def is_coalesced(self) -> bool:
        """Whether the places are known to be sorted and to differ."""
        return self._unique

    def _checked(self, what: str) -> None:
        if not self._unique:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def indices(self) -> Tensor:
        """The places [sparse_dim, nnz]. RuntimeError unless coalesced."""
        self._checked("indices")
        return self._places

    def values(self) -> Tensor:
        """The values [nnz, ...]. RuntimeError unless coalesced."""
        self._checked("values")
        return self._entries

    def _linear(self) -> Integers:
        """Each place as one number, in row-major order."""
        places = host(self._places)
        strides = np.cumprod([1, *self.shape[: len(places)][:0:-1]])[::-1]
        found: Integers = (places * strides[:, None].astype(np.int64)).sum(0)
        return found

    def _whole(self) -> SparseCOO:
        return self.coalesce()

    def coalesce(self) -> SparseCOO:
        """Sorted, with the values of one place added up."""
        if self._unique:
            return self
        linear = self._linear()
        kept, where = np.unique(linear, return_inverse=True)
        entries = self._entries
        if len(kept) == len(linear):
            if not np.array_equal(kept, linear):
                entries = entries.index_select(0, as_tensor(np.argsort(linear, kind="stable")))
        else:
            empty = entries.detach().new_zeros((len(kept), *entries.shape[1:]))
            entries = empty.index_add(0, as_tensor(where.reshape(-1)), entries)
        places = np.stack(np.unravel_index(kept, tuple(self.shape[: self.sparse_dim()])))
        return SparseCOO.of(as_tensor(places), entries, self.shape, True, "CoalesceBackward0")

    def dense(self) -> Tensor:
        """The dense tensor."""
        count = self.sparse_dim()
        lead, inner = tuple(self.shape[:count]), tuple(self.shape[count:])
        flat = self._entries.detach().new_zeros((int(np.prod(lead, dtype=np.int64)), *inner))
        made: Tensor = flat.index_add(0, as_tensor(self._linear()), self._entries)
        return made.reshape((*lead, *inner))

    def to_sparse(self, *args: Any, layout: Any = None, blocksize: Any = None, **dims: Any) -> Any:
        """The tensor in another sparse layout, by default itself."""
        from flambeau.functional.sparse_making import to_sparse

        return (
            self
            if not (args or layout or dims)
            else to_sparse(self, *args, layout=layout, blocksize=blocksize, **dims)
        )

    # ---- arithmetic ------------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        """self + alpha * other, both sparse. RuntimeError for a dense or a number."""
        if not isinstance(other, SparseCOO):
            raise RuntimeError(
                "add(sparse, dense) is not supported. Use add(dense, sparse) instead."
            )
        if other.shape != self.shape:
            raise RuntimeError(
                f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != "
                f"{list(other.shape)}"
            )
        second = other._entries if alpha == 1 else other._entries * alpha
        unique = self._unique and other._unique
        places = cat([self._places, other._places], 1)
        entries = cat([self._entries, second], 0)
        keys = [self._linear(), other._linear()]
        if all((np.diff(key) >= 0).all() for key in keys):
            return self._merged(places, entries, keys, unique)
        return SparseCOO.of(places, entries, self.shape, False, "AddBackward0")

    def _merged(
        self, places: Tensor, entries: Tensor, keys: list[Integers], unique: bool
    ) -> SparseCOO:
        """Entries of two tensors as one: the n-th of a place meets the other's n-th."""
        first = [np.arange(len(key)) - np.searchsorted(key, key) for key in keys]
        joint = np.stack([np.concatenate(keys), np.concatenate(first)])
        _, kept, where = np.unique(joint, axis=1, return_index=True, return_inverse=True)
        empty = entries.detach().new_zeros((len(kept), *entries.shape[1:]))
        summed = empty.index_add(0, as_tensor(where.reshape(-1)), entries)
        at = places.index_select(1, as_tensor(kept))
        return SparseCOO.of(at, summed, self.shape, unique, "AddBackward0")

    def __radd__(self, other: Any) -> Any:
        """dense + sparse: a dense tensor."""
        return other + self.to_dense() if isinstance(other, Tensor) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return other - self.to_dense() if isinstance(other, Tensor) else NotImplemented

    def mul(self, other: Any) -> Any:
        """Times a number, or element by element with a dense or sparse tensor."""
        made = self._scaled(other)
        if made is not None:
            return made
        if isinstance(other, SparseCOO):
            return self._times_sparse(other)
        if isinstance(other, Sparse) or self.dense_dim():
            raise NotImplementedError(
                "mul(): sparse tensors multiply with numbers, tensors in coordinates and dense "
                "ones (without dense dimensions): call .to_dense() first"
            )
        at = other.expand(tuple(self.shape))[tuple(self._places.unbind(0))]
        return self._like(self._entries * at, "MulBackward0")

    __rmul__ = __mul__ = multiply = mul

    def _times_sparse(self, other: SparseCOO) -> SparseCOO:
        """At the places of the smaller; zero where the other has nothing."""
        if other.shape != self.shape:
            raise RuntimeError(
                f"mul(sparse, sparse): sizes {list(self.shape)} and {list(other.shape)} differ"
            )
        few, many = (self, other.coalesce()) if self._nnz() < other._nnz() else (other, self)
        many = many.coalesce()
        known, wanted = many._linear(), few._linear()
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        if not len(known):
            return few._like(few._entries * 0, "MulBackward0")
        hit = from_numpy((known[at] == wanted).astype(np.float64)).to(few.dtype)
        hit = hit.reshape((-1,) + (1,) * few.dense_dim())
        factors = many._entries.index_select(0, as_tensor(at)) * hit
        return few._like(few._entries * factors, "MulBackward0")

    def pow(self, exponent: Any) -> Any:
        """The values to a power. NotImplementedError for powers that do not keep zero."""
        if isinstance(exponent, Tensor) or not exponent > 0:
            raise NotImplementedError("pow(): a sparse tensor's exponent is a number above zero")
        whole = self.coalesce()
        return whole._like(whole._entries**exponent, "PowBackward0")

    def _replaced(self, other: SparseCOO) -> SparseCOO:
        """What in-place ops do: takes over the other's parts."""
        if self._own and self.requires_grad:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        self._places, self._unique = other._places, other._unique
        self._describe(other.shape, other._entries, False, other._backward_name)
        return self

    def mul_(self, other: Any) -> Any:
        """Times a number, in place."""
        return self._replaced(self.mul(other))

    def div_(self, other: Any) -> Any:
        """Divided by a number, in place."""
        return self._replaced(self.div(other))

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Adds a sparse tensor, in place."""
        return self._replaced(self.add(other, alpha=alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Subtracts a sparse tensor, in place."""
        return self._replaced(self.sub(other, alpha=alpha))

    def zero_(self) -> Any:
        """Forgets all entries."""
        entries = self._entries.detach()[:0]
        return self._replaced(SparseCOO.of(self._places[:, :0], entries, self.shape, False))

    __imul__, __itruediv__, __iadd__, __isub__ = mul_, div_, add_, sub_

    # ---- reductions ------------------------------------------------------------------------------

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        """The sum of all elements, or a sparse tensor of sums over some dimensions."""
        from flambeau.functional.sparse_products import sum_over

        return sum_over(self, dim, keepdim, dtype)

    def norm(
        self, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> Any:
        """The norm of the values. NotImplementedError for one dimension's."""
        if dim is not None:
            raise NotImplementedError("norm() of a sparse tensor over a dimension: .to_dense()")
        return self.coalesce()._entries.reshape(-1).norm(p, dtype=dtype)

    # ---- shapes ----------------------------------------------------------------------------------

    def transpose(self, dim0: int, dim1: int) -> Any:
        """Two sparse dimensions exchanged."""
        axes = list(range(self.dim()))
        first, second = axes[dim0], axes[dim1]
        if max(first, second) >= self.sparse_dim():
            raise RuntimeError(
                "sparse transpose: transposed dimensions must be sparse Got sparse_dim: "
                f"{self.sparse_dim()}, d0: {first}, d1: {second}"
            )
        axes[first], axes[second] = second, first
        return self.permute(axes)

    def permute(self, *dims: Any) -> Any:
        """The dimensions in another order. NotImplementedError for dense ones."""
        order = [int(d) % self.dim() for d in (dims[0] if not isinstance(dims[0], int) else dims)]
        count = self.sparse_dim()
        if order[count:] != list(range(count, self.dim())):
            raise NotImplementedError("permute() of dense dimensions of a sparse tensor")
        size = [self.shape[axis] for axis in order]
        same = order == list(range(self.dim()))
        places = self._places.index_select(0, as_tensor(order[:count]))
        name = "TBackward0" if self.dim() == 2 else "PermuteBackward0"
        return SparseCOO.of(places, self._entries, size, self._unique and same, name)

    def t(self) -> Any:
        """The transpose of a matrix."""
        if self.dim() > 2 or self.dense_dim():
            raise RuntimeError(
                "t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got "
                f"{self.sparse_dim()} sparse and {self.dense_dim()} dense dimensions"
            )
        return self.transpose(0, 1) if self.dim() == 2 else self

    @property
    def T(self) -> Any:
        return self.t()

    mT = T

    def unsqueeze(self, dim: int) -> Any:
        """One more sparse dimension, of extent 1."""
        axis = dim % (self.dim() + 1)
        if axis > self.sparse_dim():
            raise NotImplementedError("unsqueeze() among the dense dimensions of a sparse tensor")
        rows = list(self._places.unbind(0))
        rows.insert(axis, self._places.new_zeros(self._nnz()))
        size = list(self.shape)
        size.insert(axis, 1)
        return SparseCOO.of(stack(rows), self._entries, size, self._unique, "UnsqueezeBackward0")

    def select(self, dim: int, index: int) -> Any:
        """The part at one index: dense where no sparse dimension is left."""
        axis, count = dim % self.dim(), self.sparse_dim()
        if not -self.shape[axis] <= index < self.shape[axis]:
            raise IndexError(
                f"index {index} is out of bounds for dimension {axis} with size {self.shape[axis]}"
            )
        index %= self.shape[axis]
        size = [extent for other, extent in enumerate(self.shape) if other != axis]
        if axis >= count:
            entries = self._entries.select(axis - count + 1, index)
            return SparseCOO.of(self._places, entries, size, self._unique, "SelectBackward0")
        chosen = np.flatnonzero(host(self._places)[axis] == index)
        entries = self._entries.index_select(0, as_tensor(chosen))
        if count == 1:
            return entries.sum(0)
        places = np.delete(host(self._places), axis, 0)[:, chosen]
        return SparseCOO.of(as_tensor(places), entries, size, self._unique, "SelectBackward0")

    def __getitem__(self, index: Any) -> Any:
        found: Any = self
        for part in index if isinstance(index, tuple) else (index,):
            if not isinstance(part, int):
                raise NotImplementedError(
                    "sparse tensors are indexed with integers only: call .to_dense() first"
                )
            found = found.select(0, part)
        return found

    def index_select(self, dim: int, index: Tensor) -> Any:
        """The parts at some indices of a sparse dimension, in their order."""
        axis = dim % self.dim()
        if axis >= self.sparse_dim():
            raise NotImplementedError("index_select() of a dense dimension of a sparse tensor")
        whole = self.coalesce()
        places, wanted = host(whole._places), host(index)
        at, new = np.nonzero(places[axis][:, None] == wanted[None, :])
        moved = places[:, at]
        moved[axis] = new
        size = list(self.shape)
        size[axis] = len(wanted)
        entries = whole._entries.index_select(0, as_tensor(at))
        return SparseCOO.of(as_tensor(moved), entries, size, False, "IndexSelectBackward0")

    def sparse_mask(self, mask: SparseCOO) -> Any:
        """The elements at the places of another sparse tensor."""
        return mask_of(self.to_dense(), mask)

    def _coo_only(self, *args: Any) -> Any:
        raise RuntimeError(
            "crow_indices expected sparse row compressed tensor layout but got Sparse"
        )

    crow_indices = col_indices = _coo_only

    def to_sparse_csr(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed rows."""
        from flambeau.functional.sparse_compressed import compressed

        return compressed(self, 0)

    def to_sparse_csc(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed columns."""
        from flambeau.functional.sparse_compressed import compressed

        return compressed(self, 1)


def mask_of(dense: Tensor, mask: SparseCOO) -> SparseCOO:
    """A dense tensor's elements at the places of a sparse one."""
    if dense.shape != mask.shape:
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(dense.shape)} "
            f"but mask has size {list(mask.shape)}"
        )
    found = dense[tuple(mask._places.unbind(0))]
    return SparseCOO.of(mask._places, found, mask.shape, mask._unique, "SparseMaskBackward0")


def empty_coo(size: Sequence[int], dtype: Any = None) -> SparseCOO:
    """No entries."""
    places = zeros((len(size), 0), dtype=dtypes.int64)
    return SparseCOO.of(places, zeros(0, dtype=dtype), size, False)
