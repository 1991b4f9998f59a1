"""Moving a module between devices and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.nn._torch import FROM_PYTHON, Tensor, device, dtype, empty_like, no_grad

Self = TypeVar("Self", bound="ConversionMixin")


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """Read the arguments of `to`: (device, dtype, non_blocking, memory_format)."""
    known = {"device", "dtype", "non_blocking", "memory_format", "tensor", "copy"}
    unknown = [key for key in kwargs if key not in known]
    if unknown:
        raise TypeError(f"to() received an invalid combination of arguments: {unknown[0]}")
    where = kwargs.get("device")
    kind = kwargs.get("dtype")
    non_blocking = bool(kwargs.get("non_blocking", False))
    rest = list(args)
    if isinstance(kind, type):
        kind = FROM_PYTHON.get(kind, kind)
    if kind is not None and not isinstance(kind, dtype):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"(dtype={type(kind).__name__}, ), but expected one of:\n * (torch.device device = "
            "None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False)"
        )
    first = rest.pop(0) if rest else kwargs.get("tensor")
    if isinstance(first, type):
        first = FROM_PYTHON.get(first, first)
    if isinstance(first, Tensor):
        where, kind = first.device, first.dtype
    elif isinstance(first, dtype):
        kind = first
    elif first is not None:
        where = first
        if rest and (rest[0] is None or isinstance(rest[0], dtype)):
            kind = rest.pop(0)
    elif rest and isinstance(rest[0], dtype):
        kind = rest.pop(0)
    if rest:
        non_blocking = bool(rest.pop(0))
    if rest:
        # The last positional argument of Tensor.to is `copy`; a module has nothing to copy to.
        rest.pop(0)
    if rest:
        raise TypeError("to() received an invalid combination of arguments")
    if where is not None and not isinstance(where, device):
        where = device(where)
    return where, kind, non_blocking, kwargs.get("memory_format")


class ConversionMixin:
    """The part of `Module` that changes the device or dtype of its tensors."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    children: Callable[..., Any]
    _adopt: Callable[[], None]

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put fn(tensor) in the place of every parameter, gradient and buffer."""
        self._adopt()
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            with no_grad():
                changed = fn(parameter)
                if changed is not parameter:
                    parameter.data = changed
                if parameter.grad is not None:
                    grad = fn(parameter.grad)
                    if grad is not parameter.grad:
                        grad.requires_grad_(parameter.grad.requires_grad)
                        parameter.grad = grad
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device and/or dtype: to(device), to(dtype), to(device, dtype), to(tensor)."""
        where, kind, non_blocking, memory_format = _parse_to(args, kwargs)
        if kind is not None and not (kind.is_floating_point or kind.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, "
                f"but got desired dtype={kind}"
            )

        def convert(t: Tensor) -> Tensor:
            new = kind if t.is_floating_point() or t.is_complex() else None
            if memory_format is not None and t.dim() in (4, 5):
                return t.to(where, new, non_blocking, memory_format=memory_format)
            return t.to(where, new, non_blocking)

        return self._apply(convert)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying the values."""
        return self._apply(lambda t: empty_like(t, device=device), recurse=recurse)

    def cpu(self: Self) -> Self:
        """Move everything to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self: Self, device: Any = None) -> Self:
        """Move everything to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def type(self: Self, dst_type: Any) -> Self:
        """Convert every parameter and buffer to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self: Self) -> Self:
        """Convert the floating-point tensors to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self: Self) -> Self:
        """Convert the floating-point tensors to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self: Self) -> Self:
        """Convert the floating-point tensors to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self: Self) -> Self:
        """Convert the floating-point tensors to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def share_memory(self: Self) -> Self:
        """Move every tensor to shared memory."""

        def share(t: Any) -> Any:
            return t.share_memory_()

        return self._apply(share)
