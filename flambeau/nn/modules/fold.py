"""Sliding blocks of images as columns, and back."""

from __future__ import annotations

from typing import Any

from flambeau.nn._torch import F, Tensor
from flambeau.nn.modules.module import Module

__all__ = ["Fold", "Unfold"]


class _Blocks(Module):
    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def extra_repr(self) -> str:
        """Return the blocks' geometry."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Fold(_Blocks):
    """The sums (N, C, H, W) of overlapping blocks that are columns (N, C * block, count)."""

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Return the images."""
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        """Return the images' size and the blocks' geometry."""
        return f"output_size={self.output_size}, {super().extra_repr()}"


class Unfold(_Blocks):
    """The sliding blocks of images (N, C, H, W) as columns (N, C * block, count)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the columns."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)
