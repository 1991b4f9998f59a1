"""Devices: where a tensor's storage lives, and which one new tensors go to."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# The types PyTorch knows; Flambeau computes on "cpu" and "cuda" (`check_available` refuses others).
_TYPES = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, "
    "mps, meta, hpu, mtia, privateuseone"
)
_KNOWN = frozenset(_TYPES.split(", "))
_FORM = re.compile(r"([a-zA-Z_]+)(?::(0|[1-9][0-9]*))?")


class device:
    """A device: `device("cpu")`, `device("cuda:1")`, `device("cuda", 1)`, `device(1)`.

    `type` is a name, `index` an int or None (the current one). Instances are interned, so
    equality is identity. As a context manager, or as a decorator, it is the device that factory
    functions use meanwhile. RuntimeError, in PyTorch's words, for strings that name no device.
    """

    __slots__ = ("__weakref__", "index", "type")
    type: str
    index: int | None

    def __new__(cls, type: str | int | device, index: int | None = None) -> device:
        if isinstance(type, device):
            if index is not None:
                raise TypeError(
                    "device(): argument 'type' (position 1) must be str, not torch.device"
                )
            return type
        if isinstance(type, str):
            return _intern(*_parse(type, index))
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            return _intern(*_accelerator(type))
        raise TypeError(
            "device() received an invalid combination of arguments - got "
            f"({type.__class__.__name__}), but expected one of:\n * (torch.device device)\n"
            " * (str type, int index = -1)\n"
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.index is None:
            return device, (self.type,)
        return device, (self.type, self.index)

    def __copy__(self) -> device:
        return self

    def __deepcopy__(self, memo: object) -> device:
        return self

    def __enter__(self) -> device:
        """RuntimeError, AssertionError or NotImplementedError as `check_available`: no tensor
        goes elsewhere in silence.
        """
        check_available(self)
        _defaults.entered.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _defaults.entered.pop()

    def __call__(self, function: Function) -> Function:
        """Decorates: `function` runs with this default device."""

        @functools.wraps(function)
        def on_device(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return on_device  # type: ignore[return-value]


_interned: dict[tuple[str, int | None], device] = {}


def _intern(type: str, index: int | None) -> device:
    found = _interned.get((type, index))
    if found is None:
        found = object.__new__(device)
        object.__setattr__(found, "type", type)
        object.__setattr__(found, "index", index)
        # setdefault: two threads that make the same device get the same instance.
        found = _interned.setdefault((type, index), found)
    return found


def _parse(text: str, index: int | None) -> tuple[str, int | None]:
    if not text:
        raise RuntimeError("Device string must not be empty")
    match = _FORM.fullmatch(text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    name, ordinal = match.groups()
    if name not in _KNOWN:
        raise RuntimeError(
            f"Expected one of {_TYPES} device type at start of device string: {name}"
        )
    if index is None:
        return name, None if ordinal is None else int(ordinal)
    if not isinstance(index, int) or isinstance(index, bool):
        raise TypeError(
            f"device(): argument 'index' (position 2) must be int, not {index.__class__.__name__}"
        )
    if ordinal is not None:
        raise RuntimeError(
            "type (string) must not include an index because index was passed explicitly: " + text
        )
    if index < 0:
        raise RuntimeError("Device index must not be negative")
    return name, index


def _accelerator(index: int) -> tuple[str, int]:
    if index < 0:
        raise RuntimeError("Device index must not be negative")
    if not cuda_device_count():
        raise RuntimeError("Cannot access accelerator device when none is available.")
    return "cuda", index


# How many CUDA devices there are; the CUDA executor, when it is imported, replaces it.
_cuda_device_count: Callable[[], int] | None = None


def register_cuda(count: Callable[[], int]) -> None:
    """Tells how to count CUDA devices; for the CUDA executor, which this floor cannot import."""
    global _cuda_device_count
    _cuda_device_count = count


def cuda_device_count() -> int:
    """The CUDA devices that can be used; 0 unless the CUDA executor has registered itself."""
    return 0 if _cuda_device_count is None else _cuda_device_count()


def check_available(where: device) -> None:
    """Raises unless tensors can live on `where`.

    AssertionError for "cuda" without a CUDA device (PyTorch's type), RuntimeError for an index
    out of range, NotImplementedError for kinds of device that Flambeau has no executor for.
    """
    if where.type == "cpu":
        return
    if where.type == "meta":
        raise NotImplementedError(
            "Flambeau has no 'meta' device: tensors have data (for a module whose weights are not "
            "filled, torch.nn.utils.skip_init)"
        )
    if where.type != "cuda":
        raise NotImplementedError(f"Flambeau has no '{where.type}' device: it runs on cpu and cuda")
    count = cuda_device_count()
    if not count:
        raise AssertionError(
            "Torch not compiled with CUDA enabled (Flambeau found no usable CUDA device: it needs "
            "a GPU, its driver and the extra flambeau[cuda])"
        )
    if where.index is not None and where.index >= count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal ({where}, but there are {count} devices)"
        )


class _Defaults(threading.local):
    """Per thread: what set_default_device said, and the devices in `with`, innermost last."""

    def __init__(self) -> None:
        self.chosen: device | None = None
        self.entered: list[device] = []


CPU = device("cpu")
_defaults = _Defaults()


def get_default_device() -> device:
    """The device of new tensors for which none is named, in this thread."""
    if _defaults.entered:
        return _defaults.entered[-1]
    return _defaults.chosen or CPU


_Device = device


def set_default_device(device: _Device | str | int | None) -> None:
    """Sets the device of new tensors, for this thread; None is the CPU.

    Raises where tensors cannot live there, as `check_available`.
    """
    chosen = None if device is None else _Device(device)
    if chosen is not None:
        check_available(chosen)
    _defaults.chosen = chosen
