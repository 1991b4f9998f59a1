"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from typing import Any

from flambeau.nn import init
from flambeau.nn._torch import F, Parameter, Tensor, empty
from flambeau.nn.modules.module import Module
from flambeau.nn.modules.sizes import expand, reversed_twice

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share: sizes, weight, bias and their initialisation."""

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Any,
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _pad_amounts(padding, kernel_size, dilation)
        if transposed:
            shape = (in_channels, out_channels // groups, *kernel_size)
        else:
            shape = (out_channels, in_channels // groups, *kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1/sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Return channels and sizes; what has its default value is left out."""
        none = (0,) * len(self.kernel_size)
        ones = (1,) * len(self.kernel_size)
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        if self.padding != none:
            parts.append(f"padding={self.padding}")
        if self.dilation != ones:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != none:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


def _check(
    in_channels: int, out_channels: int, stride: Any, padding: Any, groups: int, mode: str
) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
            )
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if mode not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {set(_PADDING_MODES)}, but got padding_mode='{mode}'"
        )


def _pad_amounts(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
    """Return the amounts `pad` takes (last dimension first, before and after each)."""
    if not isinstance(padding, str):
        return reversed_twice(padding)
    amounts = [0] * (2 * len(kernel))
    if padding == "same":
        for i, (d, k) in enumerate(zip(dilation[::-1], kernel[::-1])):
            total = d * (k - 1)
            amounts[2 * i] = total // 2
            amounts[2 * i + 1] = total - total // 2
    return amounts


class _Conv(_ConvNd):
    """A convolution over `_dims` dimensions."""

    _dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        n = self._dims
        super().__init__(
            in_channels,
            out_channels,
            expand(kernel_size, n),
            expand(stride, n),
            padding if isinstance(padding, str) else expand(padding, n),
            expand(dilation, n),
            False,
            (0,) * n,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _padded(self, input: Tensor) -> Tensor:
        return F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)


class Conv1d(_Conv):
    """Cross-correlate (N, C, L) with `out_channels` filters of length `kernel_size`."""

    _dims = 1

    def forward(self, input: Tensor) -> Tensor:
        """Return the correlation plus bias."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, dilation, groups = self.stride, self.dilation, self.groups
        if self.padding_mode != "zeros":
            padded = self._padded(input)
            return F.conv1d(padded, weight, bias, stride, (0,), dilation, groups)
        return F.conv1d(input, weight, bias, stride, self.padding, dilation, groups)


class Conv2d(_Conv):
    """Cross-correlate (N, C, H, W) with `out_channels` filters of `kernel_size`."""

    _dims = 2

    def forward(self, input: Tensor) -> Tensor:
        """Return the correlation plus bias."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, dilation, groups = self.stride, self.dilation, self.groups
        if self.padding_mode != "zeros":
            padded = self._padded(input)
            return F.conv2d(padded, weight, bias, stride, (0, 0), dilation, groups)
        return F.conv2d(input, weight, bias, stride, self.padding, dilation, groups)


class Conv3d(_Conv):
    """Cross-correlate (N, C, D, H, W) with `out_channels` filters of `kernel_size`."""

    _dims = 3

    def forward(self, input: Tensor) -> Tensor:
        """Return the correlation plus bias."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, dilation, groups = self.stride, self.dilation, self.groups
        if self.padding_mode != "zeros":
            padded = self._padded(input)
            return F.conv3d(padded, weight, bias, stride, (0, 0, 0), dilation, groups)
        return F.conv3d(input, weight, bias, stride, self.padding, dilation, groups)


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution over `_dims` dimensions."""

    _dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        n = self._dims
        super().__init__(
            in_channels,
            out_channels,
            expand(kernel_size, n),
            expand(stride, n),
            expand(padding, n),
            expand(dilation, n),
            True,
            expand(output_padding, n),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """Return the extra rows that make the result as large as `output_size` asks."""
        if output_size is None:
            return self.output_padding
        n = self._dims
        outer = input.dim() - n
        wanted = tuple(output_size)
        if len(wanted) == n + outer:
            wanted = wanted[outer:]
        if len(wanted) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or "
                f"{n + outer} elements (got {len(wanted)})"
            )
        least = [
            (input.size(d + outer) - 1) * self.stride[d]
            - 2 * self.padding[d]
            + self.dilation[d] * (self.kernel_size[d] - 1)
            + 1
            for d in range(n)
        ]
        most = [least[d] + self.stride[d] - 1 for d in range(n)]
        if any(not low <= size <= high for low, size, high in zip(least, wanted, most)):
            raise ValueError(
                f"requested an output size of {list(wanted)}, but valid sizes range from {least} "
                f"to {most} (for an input of {input.size()[2:]})"
            )
        return tuple(size - low for size, low in zip(wanted, least))


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d with respect to its input, as a layer."""

    _dims = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Return the transposed correlation plus bias."""
        extra = self._output_padding(input, output_size)
        return F.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of Conv2d with respect to its input, as a layer."""

    _dims = 2

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Return the transposed correlation plus bias."""
        extra = self._output_padding(input, output_size)
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of Conv3d with respect to its input, as a layer."""

    _dims = 3

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Return the transposed correlation plus bias."""
        extra = self._output_padding(input, output_size)
        return F.conv_transpose3d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )
