"""What is known of a tensor without looking at its data, interned: equal metas are one object.

Identity is what makes recognition cheap: a tensor that enters a recording is one dictionary look-up
by its meta.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.core.shapes import Shape, Strides, contiguous_strides, element_count
from flambeau.core.size import Size
from flambeau.ops.value import leave_to_reference_counts

_interned: dict[Any, Meta] = {}


class Meta:
    """dtype, layout and autograd state of a tensor. Strides and offset are in elements.

    `offset` is the offset in a storage made by the same recording; tensors that own their data keep
    theirs beside (`Tensor._offset`), so that views at moving places of one storage share a meta.
    """

    __slots__ = (
        "at_zero",
        "born",
        "dtype",
        "extents",
        "grad_name",
        "is_leaf",
        "layout",
        "numel",
        "offset",
        "requires_grad",
        "shape",
        "silent",
        "steps",
        "strides",
    )

    dtype: DType
    shape: Size
    strides: Strides
    offset: int
    requires_grad: bool
    is_leaf: bool
    grad_name: str | None
    numel: int
    at_zero: Meta
    layout: tuple[Size, Strides, int]
    extents: tuple[int, ...]  # the shape as NumPy takes it most quickly,
    steps: tuple[int, ...] | None  # and the strides in bytes; None: row-major
    silent: bool  # whether autograd does not count what is written through it: `x.data`, its views
    born: str | None  # how a view came about that autograd restricts: see record/restricted.py

    def replaced(self, **changes: Any) -> Meta:
        """The meta with some fields changed."""
        fields: dict[str, Any] = {
            "dtype": self.dtype,
            "shape": self.shape,
            "strides": self.strides,
            "offset": self.offset,
            "requires_grad": self.requires_grad,
            "is_leaf": self.is_leaf,
            "grad_name": self.grad_name,
            "born": self.born,
            "silent": self.silent,
        }
        fields.update(changes)
        return meta_of(**fields)

    def __repr__(self) -> str:
        return (
            f"<{self.dtype.name}{list(self.shape)} strides {list(self.strides)}+{self.offset}"
            f"{' grad' if self.requires_grad else ''}{' leaf' if self.is_leaf else ''}>"
        )

    def __reduce__(self) -> Any:
        return meta_of, (
            self.dtype,
            tuple(self.shape),
            self.strides,
            self.offset,
            self.requires_grad,
            self.is_leaf,
            self.grad_name,
            self.born,
            self.silent,
        )


def meta_of(
    dtype: DType,
    shape: Shape,
    strides: Strides | None = None,
    offset: int = 0,
    requires_grad: bool = False,
    is_leaf: bool = True,
    grad_name: str | None = None,
    born: str | None = None,
    silent: bool = False,
) -> Meta:
    """The one Meta with these fields (contiguous without strides)."""
    if strides is None:
        strides = contiguous_strides(shape)
    key = (dtype, shape, strides, offset, requires_grad, is_leaf, grad_name, born, silent)
    meta = _interned.get(key)
    if meta is None:
        if len(_interned) > 200_000:
            _interned.clear()  # the tree holds what it still uses; new equal metas merely miss once
        meta = Meta()
        meta.dtype, meta.shape, meta.strides, meta.offset = dtype, Size(shape), strides, offset
        meta.layout = (meta.shape, strides, offset)
        leave_to_reference_counts(meta.layout)
        meta.requires_grad, meta.is_leaf, meta.grad_name = requires_grad, is_leaf, grad_name
        meta.born, meta.silent = born, silent
        meta.numel = element_count(shape)
        meta.extents, meta.steps = tuple(shape), None
        if strides != contiguous_strides(shape):
            meta.steps = tuple([stride * dtype.itemsize for stride in strides])
        meta.at_zero = (
            meta
            if offset == 0
            else meta_of(dtype, shape, strides, 0, requires_grad, is_leaf, grad_name, born, silent)
        )
        meta = _interned.setdefault(key, meta)  # another thread may have been first
    return meta


@lru_cache(maxsize=1 << 12)
def plain_meta(dtype: DType, shape: Shape) -> Meta:
    """The meta of a contiguous tensor outside autograd."""
    return meta_of(dtype, shape)
