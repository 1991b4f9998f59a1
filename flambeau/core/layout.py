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
    """Strides of N, C, spatial.. with C innermost."""
    strides = [0] * len(shape)
    step = 1
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def is_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    if len(shape) != 4:
        return False
    want = channels_last_strides(shape)
    return all(n == 1 or s == w for n, s, w in zip(shape, strides, want, strict=True))
