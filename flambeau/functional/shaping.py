"""Ops on shapes: views (`views`), joins (`joining`) and rearrangements (`rearranging`), by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.functional import joining, rearranging, views
from flambeau.functional.creation import contiguous
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
from flambeau.functional.rearranging import (
    diag,
    diag_embed,
    diagflat,
    flip,
    fliplr,
    flipud,
    one_hot,
    pad,
    repeat,
    repeat_interleave,
    roll,
    rot90,
    tile,
    tril,
    triu,
)
from flambeau.functional.views import (
    adjoint,
    as_strided,
    broadcast_to,
    chunk,
    diagonal,
    expand,
    expand_as,
    flatten,
    moveaxis,
    movedim,
    narrow,
    permute,
    ravel,
    reshape,
    reshape_as,
    select,
    split,
    split_with_sizes,
    squeeze,
    swapaxes,
    swapdims,
    t,
    tensor_split,
    transpose,
    unbind,
    unflatten,
    unfold,
    unsqueeze,
    view,
    view_as,
    view_as_real,
)

# The names of the torch namespace.
__all__ = """
adjoint as_strided atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod cat chunk
column_stack combinations concat concatenate diag diag_embed diagflat diagonal dstack flatten flip fliplr flipud hstack
meshgrid moveaxis movedim narrow permute ravel repeat_interleave reshape roll rot90 row_stack select split
split_with_sizes squeeze stack swapaxes swapdims t tensor_split tile transpose tril triu unbind unflatten unsqueeze
view_as_real vstack
""".split()

METHODS: dict[str, Callable[..., Any]] = {**views.METHODS, **rearranging.METHODS}
PROPERTIES: dict[str, Callable[[Any], Any]] = dict(views.PROPERTIES)
