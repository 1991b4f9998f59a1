"""How sparse tensors print: the text PyTorch gives."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.tensor import printing
from flambeau.tensor.tensor import Tensor

INDENT = len("tensor(")


def _part(name: str, tensor: Tensor, size_told: bool) -> str:
    """One of the dense tensors that it is made of."""
    prefix = f"{name}=tensor("
    dtype = tensor.dtype
    text = printing.format_values(
        tensor.detach()._array(), dtype=dtype, indent=INDENT + len(prefix)
    )
    size = f", size={tuple(tensor.shape)}" if size_told and not tensor.numel() else ""
    return f"{prefix}{text}{size})"


def sparse_repr(tensor: Any) -> str:
    """The repr of a sparse tensor."""
    is_coo = tensor.is_sparse
    names = (("indices", tensor._indices()),) if is_coo else tensor.parts()
    parts = [_part(name, part, True) for name, part in names]
    parts.append(_part("values", tensor._entries, True))
    suffixes = [f"size={tuple(tensor.shape)}", f"nnz={tensor._nnz()}"]
    default = dtypes.get_default_dtype()
    complex_ = dtypes.complex128 if default is dtypes.float64 else dtypes.complex64
    if tensor.dtype not in (default, complex_, dtypes.int64, dtypes.bool_):
        suffixes.append(f"dtype={tensor.dtype}")
    suffixes.append(f"layout={tensor.layout}")
    if tensor.requires_grad:
        name = tensor._backward_name or (
            None if tensor.grad_fn is None else type(tensor.grad_fn).__name__
        )
        leaf = tensor.is_leaf or name is None
        suffixes.append("requires_grad=True" if leaf else f"grad_fn=<{name}>")
    return _joined("tensor(" + (",\n" + " " * INDENT).join(parts), suffixes, is_coo) + ")"


def _joined(text: str, suffixes: list[str], on_new_line: bool) -> str:
    """The text with its suffixes; the first on a line of its own if asked."""
    width = printing.get_printoptions()["linewidth"]
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if on_new_line or length + len(suffix) + 2 > width:
            text += ",\n" + " " * INDENT + suffix
            length, on_new_line = INDENT + len(suffix), False
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text
