"""torch.backends.cuda: flags that programs set; they are kept, and change nothing on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class _Matmul:
    """The precision that CUDA products may give up."""

    def __init__(self) -> None:
        self.allow_tf32 = False
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether CUDA can be used."""
    return False


class _Switches:
    flash = math = efficient = cudnn = True
    reduced_math = False


def flash_sdp_enabled() -> bool:
    """Whether attention may use the flash kernel; here it is compiled in any case."""
    return _Switches.flash


def enable_flash_sdp(enabled: bool) -> None:
    """Keeps the switch, which changes nothing on the CPU."""
    _Switches.flash = bool(enabled)


def mem_efficient_sdp_enabled() -> bool:
    """Whether attention may use the memory-efficient kernel."""
    return _Switches.efficient


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Keeps the switch, which changes nothing on the CPU."""
    _Switches.efficient = bool(enabled)


def math_sdp_enabled() -> bool:
    """Whether attention may be computed op by op."""
    return _Switches.math


def enable_math_sdp(enabled: bool) -> None:
    """Keeps the switch, which changes nothing on the CPU."""
    _Switches.math = bool(enabled)


def cudnn_sdp_enabled() -> bool:
    """Whether attention may use cuDNN."""
    return _Switches.cudnn


def enable_cudnn_sdp(enabled: bool) -> None:
    """Keeps the switch, which changes nothing on the CPU."""
    _Switches.cudnn = bool(enabled)


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """Whether attention op by op may add in 16 bits."""
    return _Switches.reduced_math


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Keeps the switch, which changes nothing on the CPU."""
    _Switches.reduced_math = bool(enabled)


def is_flash_attention_available() -> bool:
    """Whether PyTorch's flash kernel is there: no."""
    return False


def is_ck_sdpa_available() -> bool:
    """Whether AMD's kernel is there: no."""
    return False


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """Other switches for the time of a `with` block."""
    before = (_Switches.flash, _Switches.math, _Switches.efficient, _Switches.cudnn)
    given = (enable_flash, enable_math, enable_mem_efficient, enable_cudnn)
    _Switches.flash, _Switches.math, _Switches.efficient, _Switches.cudnn = given
    try:
        yield
    finally:
        _Switches.flash, _Switches.math, _Switches.efficient, _Switches.cudnn = before
