"""Memory formats and layouts by PyTorch's names."""

from __future__ import annotations

from collections.abc import Sequence


class MemoryFormat:
    """contiguous_format, preserve_format, channels_last, channels_last_3d."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class Layout(MemoryFormat):
    """strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc, jagged."""

    __slots__ = ()


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")
strided = Layout("strided")
sparse_coo = Layout("sparse_coo")
sparse_csr = Layout("sparse_csr")
sparse_csc = Layout("sparse_csc")
sparse_bsr = Layout("sparse_bsr")
sparse_bsc = Layout("sparse_bsc")
jagged = Layout("jagged")


def channels_last_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of N, C, spatial.. with C innermost; 0 beyond an extent of 0, as PyTorch has it."""
    strides = [0] * len(shape)
    step = 1
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def suggests_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether results of images that lie so are laid out with the channels innermost, as PyTorch's
    suggest_memory_format says. The images need not be dense; where strides are ambiguous (one
    channel, one pixel) the answer is no.
    """
    if len(shape) not in (4, 5) or not strides[1]:
        return False
    least = 0
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        stride, extent = strides[axis], shape[axis]
        if not extent or stride < least or (axis == 0 and least == strides[1]):
            return False
        least = stride * extent if extent > 1 else stride
    return True


def is_channels_last(shape: Sequence[int], strides: Sequence[int], rank: int = 4) -> bool:
    """Whether images (of rank 4; volumes have 5) lie dense with the channels innermost."""
    if len(shape) != rank:
        return False
    want = channels_last_strides(shape)
    return all(n == 1 or s == w for n, s, w in zip(shape, strides, want, strict=True))


def format_strides(shape: Sequence[int], memory_format: MemoryFormat) -> tuple[int, ...] | None:
    """The strides of a memory format, None for row-major ones. RuntimeError for other ranks."""
    if memory_format is channels_last or memory_format is channels_last_3d:
        rank = 4 if memory_format is channels_last else 5
        if len(shape) != rank:
            name = str(memory_format).rpartition(".")[2]
            raise RuntimeError(f"required rank {rank} tensor to use {name} format")
        return channels_last_strides(shape)
    return None
