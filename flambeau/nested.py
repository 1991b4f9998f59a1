"""torch.nested: tensors of rows of different lengths, which Flambeau does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["as_nested_tensor", "nested_tensor", "nested_tensor_from_jagged", "to_padded_tensor"]


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        raise NotImplementedError(
            f"nested.{name}(): nested tensors are not supported; pad the rows with "
            "torch.nn.utils.rnn.pad_sequence and keep their lengths or a mask"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "NotImplementedError: nested tensors are not supported."
    return refuse


as_nested_tensor = _refusal("as_nested_tensor")
nested_tensor = _refusal("nested_tensor")
nested_tensor_from_jagged = _refusal("nested_tensor_from_jagged")
to_padded_tensor = _refusal("to_padded_tensor")
