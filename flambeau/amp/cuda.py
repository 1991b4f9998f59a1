"""torch.cuda.amp: the names for CUDA before PyTorch 2.4."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from flambeau.amp import autocast_mode, grad_scaler
from flambeau.core.dtypes import DType, float16

__path__: list[str] = []  # so that `import torch.cuda.amp.grad_scaler` may ask below it


class autocast(autocast_mode.autocast):
    """autocast("cuda", ...)."""

    def __init__(
        self, enabled: bool = True, dtype: DType = float16, cache_enabled: bool = True
    ) -> None:
        warnings.warn(
            "`torch.cuda.amp.autocast(args...)` is deprecated. "
            "Please use `torch.amp.autocast('cuda', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(grad_scaler.GradScaler):
    """GradScaler("cuda", ...)."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warnings.warn(
            "`torch.cuda.amp.GradScaler(args...)` is deprecated. "
            "Please use `torch.amp.GradScaler('cuda', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Any = None, *, cast_inputs: DType | None = None) -> Any:
    """`torch.amp.custom_fwd` for CUDA."""
    return autocast_mode.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


custom_bwd = functools.partial(autocast_mode.custom_bwd, device_type="cuda")
