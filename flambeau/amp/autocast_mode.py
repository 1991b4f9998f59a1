"""`autocast`: a block in which each op runs in the dtype that suits it."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from flambeau.amp.policy import POLICIES
from flambeau.core import dtypes
from flambeau.core.device import cuda_device_count
from flambeau.core.dtypes import DType
from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor

_DEFAULTS = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
_KNOWN = ("cpu", "cuda", "xpu", "mtia", "maia", "hpu", "ipu", "xla", "mps", "privateuseone")


class _Modes(threading.local):
    """Per thread: what autocast does for each device type."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, DType] = {}
        self.cache = True
        self.nesting = 0


_MODES = _Modes()


def _checked(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise TypeError(f"device_type must be a str, not {type(device_type).__name__}")
    if device_type not in _KNOWN:
        raise RuntimeError(
            f"unknown device type for autocast in get_autocast_dispatch_key_from_device_type: "
            f"{device_type}"
        )
    return device_type


def is_autocast_available(device_type: str) -> bool:
    """Whether tensors of this device type can be autocast."""
    return _checked(device_type) in _KNOWN


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is within an autocast block for the device type."""
    return _MODES.enabled.get(_checked(device_type), False)


def set_autocast_enabled(*arguments: Any) -> None:
    """set_autocast_enabled(device_type, enabled), or (enabled) for CUDA."""
    device_type, enabled = arguments if len(arguments) == 2 else ("cuda", arguments[0])
    _MODES.enabled[_checked(device_type)] = bool(enabled)
    _apply()


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast lowers to."""
    return _MODES.dtypes.get(_checked(device_type), _DEFAULTS.get(device_type, dtypes.float16))


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """The dtype that autocast lowers to from now on."""
    _MODES.dtypes[_checked(device_type)] = dtype
    _apply()


def _apply() -> None:
    """Let the recorder know: all tensors are on the CPU."""
    policy = POLICIES.get(get_autocast_dtype("cpu")) if _MODES.enabled.get("cpu") else None
    recorder.set_autocast(policy)


def is_autocast_cache_enabled() -> bool:
    """Whether casts of weights are kept; here a program casts each weight once in any case."""
    return _MODES.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Accepted: a program casts each weight once in any case."""
    _MODES.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Accepted: there is no cache beside the program."""


def autocast_increment_nesting() -> int:
    """One more autocast block is open; how many there are."""
    _MODES.nesting += 1
    return _MODES.nesting


def autocast_decrement_nesting() -> int:
    """One autocast block is closed; how many there are."""
    _MODES.nesting -= 1
    return _MODES.nesting


class autocast:
    """A block (or decorated function) in which products run in bfloat16 or float16.

    `dtype` defaults to bfloat16 on the CPU, float16 on CUDA. Warns, and does nothing, for a dtype
    that the device does not lower to. RuntimeError for an unknown device type.
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _KNOWN:
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = _MODES.cache if cache_enabled is None else cache_enabled
        if enabled and device_type == "cuda" and not cuda_device_count():
            warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        elif enabled and device_type != "cuda" and self.fast_dtype not in POLICIES:
            name = device_type.upper()
            warnings.warn(
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[bool, bool, DType]] = []

    def __enter__(self) -> autocast:
        device = self.device
        before = (_MODES.cache, is_autocast_enabled(device), get_autocast_dtype(device))
        self._before.append(before)
        self._set(self._cache_enabled, self._enabled, self.fast_dtype)
        autocast_increment_nesting()
        return self

    def __exit__(self, *exception: Any) -> None:
        autocast_decrement_nesting()
        self._set(*self._before.pop())

    def _set(self, cache: bool, enabled: bool, dtype: DType) -> None:
        _MODES.cache = cache
        _MODES.enabled[self.device] = enabled
        _MODES.dtypes[self.device] = dtype
        _apply()

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. "
                "Did you mean to use autocast as a context manager? For example:\n"
                "    with torch.autocast(device_type=...):\n"
                "        output = model(input)"
            )

        @functools.wraps(func)
        def cast(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return cast


def _converted(value: Any, device_type: str, dtype: DType) -> Any:
    """Floating-point tensors of the device (float64 apart) in `dtype`, in any containers."""
    if isinstance(value, Tensor):
        lowered = value.is_floating_point() and value.dtype is not dtypes.float64
        return value.to(dtype) if lowered and value.device.type == device_type else value
    if isinstance(value, Mapping):
        return {
            _converted(k, device_type, dtype): _converted(v, device_type, dtype)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_converted(part, device_type, dtype) for part in value)
    return value


def _check_device_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: DType | None = None,
) -> Any:
    """Decorates the `forward` of a Function: with `cast_inputs` it runs in that dtype throughout.

    Without, its ops run as autocast has it. Outside autocast nothing changes.
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    forward = fwd

    @functools.wraps(forward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return forward(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return forward(
                ctx,
                *_converted(args, device_type, cast_inputs),
                **_converted(kwargs, device_type, cast_inputs),
            )

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorates the `backward` of a Function: it runs under the autocast of its `forward`."""
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    backward = bwd

    @functools.wraps(backward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return backward(ctx, *args, **kwargs)

    return decorated
