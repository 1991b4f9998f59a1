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

OBSERVERS = (
    "ObserverBase UniformQuantizationObserverBase MinMaxObserver MovingAverageMinMaxObserver "
    "PerChannelMinMaxObserver MovingAveragePerChannelMinMaxObserver HistogramObserver "
    "PlaceholderObserver RecordingObserver NoopObserver FixedQParamsObserver ReuseInputObserver "
    "FakeQuantizeBase FakeQuantize FixedQParamsFakeQuantize FusedMovingAvgObsFakeQuantize "
    "default_observer default_weight_observer default_histogram_observer "
    "default_per_channel_weight_observer default_fake_quant default_weight_fake_quant "
    "QConfigMapping get_default_qconfig_mapping get_default_qat_qconfig_mapping "
    "prepare_fx prepare_qat_fx convert_fx fuse_fx add_quant_dequant propagate_qconfig_ "
    "enable_observer disable_observer enable_fake_quant disable_fake_quant"
).split()


def __getattr__(name: str) -> Any:
    if name in OBSERVERS:
        return _refusal(name)
    raise AttributeError(f"module 'torch.quantization' has no attribute {name!r}")
