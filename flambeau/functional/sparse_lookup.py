"""embedding(sparse=True): a table whose gradient names only the rows that were looked up."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.functional.sparse_coordinates import SparseCOO
from flambeau.tensor.tensor import Tensor


def rows_of(weight: Tensor, index: Tensor, padding_idx: int | None) -> Tensor:
    """weight[index], whose gradient becomes a sparse tensor in `weight.grad`.

    The rows are a leaf in the table's place; when their gradient has come it is handed on. So the
    table must be a leaf (NotImplementedError), and autograd.grad does not reach it.
    """
    if not (weight.requires_grad and is_grad_enabled()):
        whole: Tensor = weight[index]
        return whole
    if not weight.is_leaf:
        raise NotImplementedError(
            "embedding(sparse=True) needs a weight that is a leaf: use sparse=False"
        )
    flat = index.detach().reshape(-1)
    rows = weight.detach().index_select(0, flat).requires_grad_()

    def hand_on(leaf: Tensor) -> None:
        places, entries = flat, leaf.grad.detach()
        leaf.grad = None
        if padding_idx is not None:
            kept = (flat != padding_idx).nonzero().reshape(-1)
            places, entries = flat.index_select(0, kept), entries.index_select(0, kept)
        made = SparseCOO.of(places.long().unsqueeze(0), entries, weight.shape, False)
        weight._grad = made if weight._grad is None else weight._grad + made

    rows.register_post_accumulate_grad_hook(hand_on)
    shaped: Tensor = rows.reshape((*index.shape, weight.shape[1]))
    return shaped


def bags_of(
    weight: Tensor, index: Tensor, offsets: Tensor | None, padding_idx: int | None, options: Any
) -> Tensor:
    """embedding_bag over a table with a sparse gradient: a dense bag over the rows looked up."""
    from flambeau.functional.counted import arange
    from flambeau.functional.embedding import embedding_bag

    if padding_idx is not None:
        raise NotImplementedError("embedding_bag(sparse=True) with padding_idx is not supported")
    rows = rows_of(weight, index.reshape(-1), None)
    places = arange(index.numel()).reshape(tuple(index.shape))
    return embedding_bag(places, rows, offsets, **options)
