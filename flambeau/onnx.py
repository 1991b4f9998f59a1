"""torch.onnx: files for other programs, which Flambeau does not write."""

from __future__ import annotations

from typing import Any

__all__ = ["export", "is_in_onnx_export"]


def export(model: Any, args: Any = (), f: Any = None, **options: Any) -> Any:
    """NotImplementedError: ONNX files are not written."""
    raise NotImplementedError(
        "onnx.export is not supported: save the model's state_dict() and load it into the same "
        "module under PyTorch to export it there"
    )


def is_in_onnx_export() -> bool:
    """False."""
    return False
