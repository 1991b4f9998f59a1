"""torch._utils: several tensors laid out as one, as code for data-parallel training does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements of the tensors, one after the other."""
    flat = [t.contiguous().view(-1) for t in tensors]
    return flat[0] if len(flat) == 1 else cat(flat)


def _unflatten_dense_tensors(flat: Tensor, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Views of `flat` with the shapes of the tensors, one after the other."""
    parts, start = [], 0
    for t in tensors:
        if t.numel() == 0:
            parts.append(flat.new_empty(t.shape))
            continue
        parts.append(flat.narrow(0, start, t.numel()).view(t.shape))
        start += t.numel()
    return tuple(parts)


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Lists of tensors of one type, of up to `size_limit` bytes each."""
    waiting: dict[str, tuple[list[Tensor], int]] = {}
    for t in tensors:
        kind, size = str(t.type()), t.numel() * t.element_size()
        taken, total = waiting.get(kind, ([], 0))
        if taken and total and total + size > size_limit:
            yield taken
            taken, total = [], 0
        taken.append(t)
        waiting[kind] = taken, total + size
    for taken, _ in waiting.values():
        yield taken
