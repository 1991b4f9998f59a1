"""torch.quantization: integer networks, which Flambeau does not have; every function says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "DeQuantStub", "QConfig", "QuantStub", "QuantWrapper", "convert", "default_dynamic_qconfig",
    "default_qconfig", "fuse_modules", "get_default_qat_qconfig", "get_default_qconfig",
    "prepare", "prepare_qat", "quantize", "quantize_dynamic", "quantize_qat",
]  # fmt: skip


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        raise NotImplementedError(
            f"quantization.{name}: quantised networks are not supported; bfloat16 "
            "(model.to(torch.bfloat16), torch.autocast) makes models smaller"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "NotImplementedError: quantised networks are not supported."
    return refuse


QuantStub, DeQuantStub = _refusal("QuantStub"), _refusal("DeQuantStub")
QuantWrapper, QConfig = _refusal("QuantWrapper"), _refusal("QConfig")
convert, prepare, prepare_qat = _refusal("convert"), _refusal("prepare"), _refusal("prepare_qat")
quantize, quantize_qat = _refusal("quantize"), _refusal("quantize_qat")
quantize_dynamic, fuse_modules = _refusal("quantize_dynamic"), _refusal("fuse_modules")
get_default_qconfig = _refusal("get_default_qconfig")
get_default_qat_qconfig = _refusal("get_default_qat_qconfig")
# What PyTorch's constants of these names stand for cannot be used either.
default_qconfig = default_dynamic_qconfig = None
