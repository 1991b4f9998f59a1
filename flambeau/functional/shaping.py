"""Ops on shapes: views (`views`, `axis_order`, `parts`), `joining`, `rearranging`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.functional import axis_order, parts, rearranging, views
from flambeau.functional.axis_order import (
    adjoint,
    moveaxis,
    movedim,
    permute,
    swapaxes,
    swapdims,
    t,
    transpose,
)
from flambeau.functional.joining import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    broadcast_tensors,
    cartesian_prod,
    cat,
    column_stack,
    combinations,
    concat,
    concatenate,
    dstack,
    hstack,
    meshgrid,
    row_stack,
    stack,
    vstack,
)
from flambeau.functional.parts import (
    as_strided,
    chunk,
    diagonal,
    split,
    split_with_sizes,
    tensor_split,
    unbind,
    view_as_real,
)
from flambeau.functional.parts import unfold as unfold
from flambeau.functional.rearranging import (
    diag,
    diag_embed,
    diagflat,
    flip,
    fliplr,
    flipud,
    repeat_interleave,
    roll,
    rot90,
    tile,
    tril,
    triu,
)

# Ops that are methods or live in torch.nn.functional, under one roof with the others.
from flambeau.functional.rearranging import one_hot as one_hot
from flambeau.functional.rearranging import pad as pad
from flambeau.functional.rearranging import repeat as repeat
from flambeau.functional.views import (
    broadcast_to,
    flatten,
    narrow,
    ravel,
    reshape,
    select,
    squeeze,
    unflatten,
    unsqueeze,
)
from flambeau.functional.views import expand as expand
from flambeau.functional.views import expand_as as expand_as
from flambeau.functional.views import reshape_as as reshape_as
from flambeau.functional.views import view as view
from flambeau.functional.views import view_as as view_as

# The names of the torch namespace.
__all__ = [
    "adjoint",
    "as_strided",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_tensors",
    "broadcast_to",
    "cartesian_prod",
    "cat",
    "chunk",
    "column_stack",
    "combinations",
    "concat",
    "concatenate",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "dstack",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "hstack",
    "meshgrid",
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "row_stack",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view_as_real",
    "vstack",
]

METHODS: dict[str, Callable[..., Any]] = {
    **views.METHODS,
    **axis_order.METHODS,
    **parts.METHODS,
    **rearranging.METHODS,
}
PROPERTIES: dict[str, Callable[[Any], Any]] = dict(axis_order.PROPERTIES)
