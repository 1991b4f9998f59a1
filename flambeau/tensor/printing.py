"""How tensors print: the text PyTorch gives, character for character.

One format serves all the numbers of a tensor; it is chosen from those that are shown (after the
middle of a long tensor has been left out), in float64.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flambeau.core import dtypes
from flambeau.core.dtypes import DType, float32_from_bfloat16

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PrintOptions:
    """`precision` in digits, `threshold` in elements, `edgeitems` a side, `linewidth` in columns.

    `sci_mode` None lets the values decide.
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: float = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}

_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: float | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors print; what is None stays, except `sci_mode`, which returns to automatic.

    `profile` is "default", "short" or "full" (ValueError for others), applied before the rest.
    """
    global _options
    options = _options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"unknown print profile {profile!r}: use one of {list(_PROFILES)}")
        options = _PROFILES[profile]
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    _options = replace(options, sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """The current options, as keyword arguments for `set_printoptions`."""
    return asdict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Options of `set_printoptions` for the duration of a `with` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    data: Array,
    *,
    dtype: DType,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    device: str = "cpu",
    is_parameter: bool = False,
    class_name: str | None = None,
) -> str:
    """The repr of a tensor whose elements, in storage form, are `data` (any strides).

    `device` is shown unless it is the CPU; `class_name` is that of a subclass of Tensor or
    Parameter, None for these themselves.
    """
    prefix = "tensor(" if class_name is None else f"{class_name}("
    body = prefix + format_values(data, dtype=dtype, indent=len(prefix))
    suffixes = _suffixes(data, dtype, device)
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    text = _append(body, suffixes, len(prefix)) + ")"
    if not is_parameter:
        return text
    if class_name is not None:
        text = f"Parameter({text})"
    return "Parameter containing:\n" + text


def tensor_repr(tensor: Tensor) -> str:
    """The repr of a tensor, of a Parameter or of a subclass; computes what is pending."""
    from flambeau.tensor.parameter import Buffer, Parameter
    from flambeau.tensor.tensor import Tensor

    kind = type(tensor)
    grad_fn = tensor.grad_fn
    text = format_tensor(
        tensor._array(),
        dtype=tensor.dtype,
        requires_grad=tensor.requires_grad,
        grad_fn_name=None if grad_fn is None else type(grad_fn).__name__,
        device=str(tensor.device),
        is_parameter=isinstance(tensor, Parameter),
        class_name=None if kind in (Tensor, Parameter, Buffer) else kind.__name__,
    )
    # (A parameter of a program's own class shows that alone.)
    return text if issubclass(kind, Parameter) else text.removeprefix("Parameter containing:\n")


def format_with_spec(
    data: Array,
    spec: str,
    *,
    dtype: DType,
    class_name: str,
    as_text: Callable[[], str],
) -> str:
    """What `format(tensor, spec)` gives: a 0-d Tensor formats as its number, others `as_text()`.

    TypeError, in PyTorch's words, for a non-empty spec with anything but a 0-d plain Tensor.
    """
    if data.ndim == 0 and class_name == "Tensor":
        return format(_readable(data, dtype).item(), spec)
    if spec:
        raise TypeError(f"unsupported format string passed to {class_name}.__format__")
    return as_text()


def format_values(data: Array, *, dtype: DType, indent: int = 0) -> str:
    """The nested brackets alone; `indent` is the column that the first of them stands in."""
    if data.size == 0:
        return "[]"
    options = _options
    if data.ndim == 0:
        return _columns(_readable(data, dtype), options).texts[0]
    cut = [False] * data.ndim
    if data.size > options.threshold:
        if not options.edgeitems:
            return "[...]"
        data, cut = _edges(data, options.edgeitems)
    shown = _Shown(_columns(_readable(data, dtype), options), data.shape, cut, options)
    return shown.block(0, 0, indent)


def _suffixes(data: Array, dtype: DType, device: str) -> list[str]:
    suffixes = []
    if not device.startswith("cpu"):
        suffixes.append(f"device='{device}'")
    default = dtypes.get_default_dtype()
    usual: tuple[DType, ...] = (default,)
    if data.size:
        if not _options.edgeitems:
            suffixes.append(f"size={data.shape}")
        complex_ = dtypes.complex128 if default is dtypes.float64 else dtypes.complex64
        usual = (default, complex_, dtypes.int64, dtypes.bool_)
    elif data.ndim != 1:
        suffixes.append(f"size={data.shape}")
    if dtype not in usual:
        suffixes.append(f"dtype={dtype}")
    return suffixes


def _append(text: str, suffixes: Sequence[str], indent: int) -> str:
    """`text` with its suffixes, each on a new line where the line would grow too long."""
    parts = [text]
    # One more than the line holds, and two for a first line: PyTorch counts so.
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _options.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            length = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            length += len(suffix) + 2
    return "".join(parts)


def _readable(data: Array, dtype: DType) -> Array:
    return float32_from_bfloat16(data) if dtype is dtypes.bfloat16 else data


def _edges(data: Array, count: int) -> tuple[Array, list[bool]]:
    """The first and last `count` along each longer axis, and which axes those are."""
    cut = [extent > 2 * count for extent in data.shape]
    picked = [
        np.r_[0:count, extent - count : extent] if axis_cut else np.arange(extent)
        for extent, axis_cut in zip(data.shape, cut, strict=True)
    ]
    return data[np.ix_(*picked)], cut


@dataclass(frozen=True)
class _Columns:
    """The elements as texts in reading order, and the width that each takes in a row."""

    texts: list[str]
    width: int


def _columns(data: Array, options: PrintOptions) -> _Columns:
    if data.dtype.kind == "c":
        real, imaginary = _columns(data.real, options), _columns(data.imag, options)
        pairs = zip(real.texts, imaginary.texts, strict=True)
        # The imaginary part's own padding is dropped; its width counts all the same, with the j.
        texts = [_join_complex(a, b.lstrip()) for a, b in pairs]
        return _Columns(texts, real.width + imaginary.width + 1)
    if data.dtype.kind == "f":
        return _float_columns(data.astype(np.float64).ravel(), options)
    texts = [str(value) for value in data.ravel().tolist()]
    width = max(map(len, texts))
    return _Columns([text.rjust(width) for text in texts], width)


def _join_complex(real: str, imaginary: str) -> str:
    sign = "" if imaginary[0] == "-" else "+"
    return f"{real}{sign}{imaginary}j"


def _float_columns(values: npt.NDArray[np.float64], options: PrintOptions) -> _Columns:
    telling = np.isfinite(values) & (values != 0)
    spec, whole = _float_spec(values[telling], options)
    texts = [format(value, spec) for value in values.tolist()]
    if whole:
        finite = np.isfinite(values).tolist()
        texts = [f"{t}." if f else t for t, f in zip(texts, finite, strict=True)]
    # Zeros, infinities and NaN do not widen the columns, even where they stick out.
    widths = [len(t) for t, counts in zip(texts, telling.tolist(), strict=True) if counts]
    width = max(widths, default=1)
    return _Columns([text.rjust(width) for text in texts], width)


def _float_spec(values: npt.NDArray[np.float64], options: PrintOptions) -> tuple[str, bool]:
    """The format for these finite non-zero values, and whether a bare point is to follow."""
    if not values.size:
        return ".0f", True
    sizes = np.abs(values)
    low, high = sizes.min(), sizes.max()
    scientific = options.sci_mode
    if scientific is None:
        with np.errstate(over="ignore"):
            scientific = bool(high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4)
    if scientific:
        return f".{options.precision}e", False
    if (values == np.ceil(values)).all():
        return ".0f", True
    return f".{options.precision}f", False


class _Shown:
    """Lays texts out in brackets."""

    def __init__(
        self, columns: _Columns, shape: Sequence[int], cut: Sequence[bool], options: PrintOptions
    ) -> None:
        self.columns = columns
        self.shape = shape
        self.cut = cut
        self.options = options

    def block(self, axis: int, start: int, indent: int) -> str:
        """The brackets of `axis` from element `start` on; they open in column `indent`."""
        edge = self.options.edgeitems
        count = self.shape[axis]
        remaining = len(self.shape) - axis
        if remaining == 1:
            items = self.columns.texts[start : start + count]
            if self.cut[axis]:
                items.insert(edge, " ...")
            return self._row(items, indent)
        step = math.prod(self.shape[axis + 1 :])
        blocks = [self.block(axis + 1, start + i * step, indent + 1) for i in range(count)]
        if self.cut[axis]:
            blocks.insert(edge, "...")
        separator = "," + "\n" * (remaining - 1) + " " * (indent + 1)
        return "[" + separator.join(blocks) + "]"

    def _row(self, items: list[str], indent: int) -> str:
        room = (self.options.linewidth - indent) / (self.columns.width + 2)
        per_line = max(1, len(items) if math.isinf(room) else math.floor(room))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


SMALL = 1000  # elements up to which a notebook shows more than the text


def tensor_html(tensor: Tensor) -> str | None:
    """For notebooks: the repr as it is, and below it shape and dtype; None for a large tensor."""
    if tensor.numel() > SMALL:
        return None
    shape = " x ".join(map(str, tensor.shape)) or "scalar"
    note = f'<span style="opacity:.6;font-size:85%">{shape}, {tensor.dtype}</span>'
    return f'<pre style="margin:0">{escape(repr(tensor))}</pre>{note}'
