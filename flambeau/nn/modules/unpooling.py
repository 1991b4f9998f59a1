"""The partial inverses of max-pooling, and max-pooling over drawn windows."""

from __future__ import annotations

from typing import Any

from flambeau.nn._torch import F, Tensor
from flambeau.nn.modules.module import Module
from flambeau.nn.modules.sizes import expand

__all__ = [
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxUnpoolNd(Module):
    rank: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = expand(kernel_size, self.rank)
        self.stride = expand(stride if stride is not None else kernel_size, self.rank)
        self.padding = expand(padding, self.rank)

    def extra_repr(self) -> str:
        """Return the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Maxima (N, C, L) put back at the indices that MaxPool1d returned; zeros elsewhere."""

    rank = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Return the unpooled rows, of `output_size` where the default is ambiguous."""
        return F.max_unpool1d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool2d(_MaxUnpoolNd):
    """Maxima (N, C, H, W) put back at the indices that MaxPool2d returned; zeros elsewhere."""

    rank = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Return the unpooled images, of `output_size` where the default is ambiguous."""
        return F.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool3d(_MaxUnpoolNd):
    """Maxima (N, C, D, H, W) put back at the indices that MaxPool3d returned; zeros elsewhere."""

    rank = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Return the unpooled volumes, of `output_size` where the default is ambiguous."""
        return F.max_unpool3d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class _FractionalMaxPoolNd(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = expand(kernel_size, self.rank)
        if self.rank == 3 and min(self.kernel_size) <= 0:
            raise ValueError(f"kernel_size must greater than zero for all dims, got {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else expand(output_size, self.rank)
        self.output_ratio = None if output_ratio is None else expand(output_ratio, self.rank)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Maxima over drawn windows, so that (N, C, H, W) shrinks to a size or by a ratio."""

    rank = 2

    def forward(self, input: Tensor) -> Any:
        """Return the maxima, and their indices with `return_indices`."""
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Maxima over drawn windows, so that (N, C, D, H, W) shrinks to a size or by a ratio."""

    rank = 3

    def forward(self, input: Tensor) -> Any:
        """Return the maxima, and their indices with `return_indices`."""
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )
