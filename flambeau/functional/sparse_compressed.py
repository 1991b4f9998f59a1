"""Matrices with compressed rows (CSR) or columns (CSC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.layout import sparse_csc, sparse_csr
from flambeau.core.notice import warn_once
from flambeau.functional.joining import stack
from flambeau.functional.sparse_coordinates import SparseCOO
from flambeau.functional.sparse_tensors import Sparse, as_tensor, host
from flambeau.tensor.tensor import Tensor

WORDS = ("SparseCsr", "SparseCsc")
LAYOUTS = (sparse_csr, sparse_csc)
NAMES = (("crow_indices", "col_indices"), ("ccol_indices", "row_indices"))


_warned: list[int] = []


def _warn_of_beta(axis: int) -> None:
    """PyTorch's warning, given for the first such tensor of a process."""
    if not _warned:
        _warned.append(axis)
        warn_once(
            f"Sparse {('CSR', 'CSC')[axis]} tensor support is in beta state. If you miss a "
            "functionality in the sparse tensor support, please submit a feature request to "
            "https://github.com/pytorch/pytorch/issues."
        )


class Compressed(Sparse):
    """`_starts` of each row (column) among the entries, `_plain` the other index of each."""

    _starts: Tensor
    _plain: Tensor
    _axis: int

    @staticmethod
    def of(
        starts: Tensor, plain: Tensor, entries: Tensor, size: Sequence[int], axis: int,
        name: str | None = None, own: bool = False,
    ) -> Compressed:  # fmt: skip
        """A matrix of these parts, whose rows (axis 0) or columns (1) are compressed."""
        _warn_of_beta(axis)
        made: Compressed = object.__new__(Compressed)
        made._starts, made._plain, made._axis = starts, plain, axis
        made.layout_, made.layout_word = LAYOUTS[axis], WORDS[axis]
        made._describe(size, entries, own, name)
        return made

    def _like(self, entries: Tensor, name: str | None = None, own: bool = False) -> Compressed:
        return Compressed.of(self._starts, self._plain, entries, self.shape, self._axis, name, own)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Compressed.of, (
            self._starts, self._plain, self._entries.detach(), tuple(self.shape), self._axis,
        )  # fmt: skip

    @property
    def is_sparse_csr(self) -> bool:
        return self._axis == 0

    def parts(self) -> list[tuple[str, Tensor]]:
        """The two index tensors with their names."""
        return list(zip(NAMES[self._axis], (self._starts, self._plain)))

    def _nnz(self) -> int:
        return self._entries.size(0)

    def values(self) -> Tensor:
        """The values [nnz]."""
        return self._entries

    def _part(self, axis: int, which: int) -> Tensor:
        if self._axis != axis:
            word = ("row", "column")[axis]
            raise RuntimeError(
                f"{NAMES[axis][which]} expected sparse {word} compressed tensor layout but got "
                f"{self.layout_word}"
            )
        return (self._starts, self._plain)[which]

    def crow_indices(self) -> Tensor:
        """Where each row begins among the entries [rows + 1]."""
        return self._part(0, 0)

    def col_indices(self) -> Tensor:
        """The column of each entry."""
        return self._part(0, 1)

    def ccol_indices(self) -> Tensor:
        """Where each column begins among the entries [columns + 1]."""
        return self._part(1, 0)

    def row_indices(self) -> Tensor:
        """The row of each entry."""
        return self._part(1, 1)

    def _coordinates(self) -> SparseCOO:
        starts = host(self._starts)
        lines = as_tensor(np.repeat(np.arange(len(starts) - 1), np.diff(starts)))
        rows = [lines, self._plain] if self._axis == 0 else [self._plain, lines]
        places = stack([row.long() for row in rows])
        made = SparseCOO.of(places, self._entries, self.shape, self._axis == 0)
        if self._axis == 0:
            linear = made._linear()
            made._unique = bool((np.diff(linear) > 0).all())
        return made

    def to_sparse(self, *args: Any, layout: Any = None, blocksize: Any = None, **dims: Any) -> Any:
        """The tensor in another sparse layout, by default in coordinates."""
        from flambeau.functional.sparse_making import to_sparse

        return to_sparse(self._coordinates(), *args, layout=layout, blocksize=blocksize, **dims)

    def to_sparse_csr(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed rows."""
        return self if self._axis == 0 else compressed(self._coordinates(), 0)

    def to_sparse_csc(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed columns."""
        return self if self._axis == 1 else compressed(self._coordinates(), 1)

    def t(self) -> Any:
        """The transpose: compressed rows become compressed columns."""
        size = tuple(self.shape)[::-1]
        return Compressed.of(
            self._starts, self._plain, self._entries, size, 1 - self._axis, "TBackward0"
        )

    def transpose(self, dim0: int, dim1: int) -> Any:
        """The transpose."""
        return self if dim0 % 2 == dim1 % 2 else self.t()

    @property
    def T(self) -> Any:
        return self.t()

    mT = T

    def _combined(self, made: Any) -> Any:
        return compressed(made, self._axis)

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        """self + alpha * other, of one layout."""
        if not isinstance(other, Compressed):
            raise NotImplementedError(
                f"add(): a tensor of the layout {self.layout} adds to its like: call .to_dense()"
            )
        both = self._coordinates().coalesce().add(other._coordinates().coalesce(), alpha=alpha)
        return self._combined(both)

    def __radd__(self, other: Any) -> Any:
        return other + self.to_dense() if isinstance(other, Tensor) else NotImplemented

    def mul(self, other: Any) -> Any:
        """Times a number, or element by element with a dense or a compressed matrix."""
        made = self._scaled(other)
        if made is not None:
            return made
        whole = other._coordinates() if isinstance(other, Compressed) else other
        return self._combined(self._coordinates().coalesce().mul(whole))

    __rmul__ = __mul__ = multiply = mul

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        """The sum of all elements. NotImplementedError for one dimension's."""
        if dim is not None:
            raise NotImplementedError(
                f"sum() of a tensor of the layout {self.layout} over a dimension: .to_dense()"
            )
        return self._entries.sum(dtype=dtype)

    def coalesce(self) -> Any:
        """RuntimeError: only coordinates can repeat."""
        raise RuntimeError(
            f"coalesce expected sparse coordinate tensor layout but got {self.layout_word}"
        )

    def indices(self) -> Any:
        """RuntimeError: see crow_indices and col_indices."""
        raise RuntimeError(
            f"indices expected sparse coordinate tensor layout but got {self.layout_word}"
        )


def compressed(x: SparseCOO, axis: int) -> Compressed:
    """A matrix in coordinates with compressed rows (0) or columns (1)."""
    if x.dim() != 2 or x.dense_dim():
        raise NotImplementedError(
            "compressed layouts are supported for matrices of numbers only, got "
            f"{x.sparse_dim()} sparse and {x.dense_dim()} dense dimensions"
        )
    whole = x.coalesce()
    places, entries = host(whole._places), whole._entries
    if axis == 1:
        order = np.argsort(places[1], kind="stable")
        places, entries = places[:, order], entries.index_select(0, as_tensor(order))
    starts = np.searchsorted(places[axis], np.arange(x.size(axis) + 1))
    name = ("ToSparseCsrBackward0", "ToSparseCscBackward0")[axis]
    return Compressed.of(
        as_tensor(starts), as_tensor(places[1 - axis]), entries, x.shape, axis, name
    )
