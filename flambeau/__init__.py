"""Flambeau: PyTorch programs, compiled, in pure Python.

`import flambeau as torch`, or `flambeau run script.py`.
"""

from __future__ import annotations

import builtins as _builtins
import importlib as _importlib
import math as _math
import sys as _sys
import types as _types
from typing import Any as _Any

from flambeau import autograd as _autograd
from flambeau import version as _version
from flambeau.autograd.anomaly_mode import (
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_anomaly_enabled,
)
from flambeau.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from flambeau.core import dtypes as _dtypes
from flambeau.core import errors as _errors
from flambeau.core.device import device, get_default_device, set_default_device
from flambeau.core.dtypes import DType as dtype
from flambeau.core.dtypes import finfo, get_default_dtype, iinfo, set_default_dtype
from flambeau.core.layout import Layout as layout
from flambeau.core.layout import MemoryFormat as memory_format
from flambeau.core.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    jagged,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from flambeau.core.promotion import can_cast, promote_types
from flambeau.core.size import Size
from flambeau.functional import lazy as _lazy
from flambeau.functional.from_data import tensor
from flambeau.tensor import overriding as _overriding
from flambeau.tensor.tensor import Tensor, is_tensor

FLAMBEAU_VERSION, __version__ = _version.FLAMBEAU_VERSION, _version.__version__

inf, nan, pi, e = _math.inf, _math.nan, _math.pi, _math.e
newaxis = None
legacy_contiguous_format = contiguous_format
has_lapack = has_openmp = has_spectral = True
has_mkl = False

torch = _importlib.import_module(__name__)  # torch.torch is torch
_autograd.LATER.update(profiler="flambeau.explaining.legacy")
_lazy.bind()
_PLACES = _lazy.places()
globals().update(_dtypes.BY_NAME)
globals().update(_dtypes.NAMED)
chalf = _dtypes.NAMED["complex32"]
bool = _dtypes.bool_
# What `from flambeau import *` gives, with the names that were just bound.
__all__ = [
    "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad",
    "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_anomaly_enabled",
    "set_grad_enabled", "device", "get_default_device", "set_default_device", "dtype", "finfo",
    "get_default_dtype", "iinfo", "set_default_dtype", "layout", "memory_format", "channels_last",
    "channels_last_3d", "contiguous_format", "preserve_format", "sparse_coo", "sparse_csr",
    "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged",
    "strided", "can_cast", "promote_types", "Size", "set_printoptions", "Tensor", "is_tensor",
    "is_floating_point", "is_complex", "numel", "is_nonzero", "result_type",
    "set_num_threads", "get_num_threads", "set_num_interop_threads",
    "use_deterministic_algorithms", "are_deterministic_algorithms_enabled",
    "set_float32_matmul_precision", "get_float32_matmul_precision", "typename", "e", "inf", "nan",
    "newaxis", "pi",
]  # fmt: skip
__all__ += [*_PLACES, *_dtypes.BY_NAME]

# Loaded when first used: `flambeau.nn` and the others cost nothing to programs that do without.
_SUBMODULES = frozenset(
    {
        "_C",
        "__config__",
        "accelerator",
        "amp",
        "ao",
        "autograd",
        "backends",
        "checkpoint",
        "compiler",
        "cpu",
        "cuda",
        "distributed",
        "distributions",
        "fft",
        "func",
        "futures",
        "fx",
        "hub",
        "jit",
        "library",
        "linalg",
        "masked",
        "metrics",
        "mps",
        "multiprocessing",
        "nested",
        "nn",
        "onnx",
        "optim",
        "overrides",
        "plot",
        "profiler",
        "quantization",
        "random",
        "serialization",
        "signal",
        "sparse",
        "special",
        "storage",
        "testing",
        "types",
        "utils",
        "version",
        "vision",
        "xpu",
    }
)
# Modules that have other names here.
_ROOMS = {
    "_dynamo": "dynamo", "_inductor": "inductor", "_logging": "dynamo", "_utils": "bundles",
}  # fmt: skip
_ELSEWHERE = {
    "Generator": ("flambeau.functional.generators", "Generator"),
    "default_generator": ("flambeau.functional.generators", "default_generator"),
    "compile": ("flambeau.compiler", "compile"),
    "set_printoptions": ("flambeau.tensor.printing", "set_printoptions"),
    "save": ("flambeau.serialization", "save"),
    "load": ("flambeau.serialization", "load"),
    "explain": ("flambeau.explaining", "explain"),
    "tune": ("flambeau.execute.cpu.tuning", "tune"),
    "debug": ("flambeau.debugging", "debug"),
    "summary": ("flambeau.seeing.summary", "summary"),
    "graph": ("flambeau.seeing.drawing", "graph"),
    "load_ipython_extension": ("flambeau.compat.notebook", "load_ipython_extension"),
    "unload_ipython_extension": ("flambeau.compat.notebook", "unload_ipython_extension"),
    "progress": ("flambeau.seeing.progress", "progress"),
    "autocast": ("flambeau.amp.autocast_mode", "autocast"),
    "GradScaler": ("flambeau.amp.grad_scaler", "GradScaler"),
    "vmap": ("flambeau.func.mapping", "vmap"),
    "binomial": ("flambeau.distributions.draws", "binomial"),
    "fork": ("flambeau.jit", "fork"),
    "Future": ("flambeau.futures", "Future"),
    "_assert": ("flambeau._C", "_assert"),
    "ScriptModule": ("flambeau.nn.modules.scripted", "ScriptModule"),
    "ScriptFunction": ("flambeau.nn.modules.scripted", "ScriptFunction"),
    "PyTorchFileReader": ("flambeau._C", "PyTorchFileReader"),
    "PyTorchFileWriter": ("flambeau._C", "PyTorchFileWriter"),
    "Event": ("flambeau.accelerator", "Event"),
    "Stream": ("flambeau.accelerator", "Stream"),
    "OutOfMemoryError": ("flambeau.core.errors", "OutOfMemoryError"),
    "AcceleratorError": ("flambeau.core.errors", "AcceleratorError"),
    "Storage": ("flambeau.storage", "FloatStorage"),
    "wait": ("flambeau.jit", "wait"),
    **{
        f"{verb}_autocast_{kind}": ("flambeau.amp.legacy", f"{verb}_autocast_{kind}")
        for verb, kind in (
            ("get", "cpu_dtype"),
            ("get", "gpu_dtype"),
            ("set", "cpu_dtype"),
            ("set", "gpu_dtype"),
            ("set", "cpu_enabled"),
            ("is", "cpu_enabled"),
        )
    },
    **{
        name: ("flambeau.amp.autocast_mode", name)
        for name in (
            "is_autocast_enabled",
            "set_autocast_enabled",
            "get_autocast_dtype",
            "set_autocast_dtype",
            "is_autocast_cache_enabled",
            "set_autocast_cache_enabled",
            "clear_autocast_cache",
            "autocast_increment_nesting",
            "autocast_decrement_nesting",
        )
    },
}


class _Graph(_types.ModuleType):
    """The room `graph`, which answers to `flambeau.graph(tensor)` as well."""

    def __call__(self, *args: _Any, **kwargs: _Any) -> _Any:
        return _importlib.import_module("flambeau.seeing.drawing").graph(*args, **kwargs)


_sys.modules["flambeau.graph"].__class__ = _Graph


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_SUBMODULES, *_ELSEWHERE})


def __getattr__(name: str) -> _Any:
    if name in _PLACES:
        value = globals()[name] = _overriding.public(_lazy.resolve(*_PLACES[name]), globals(), name)
        return value
    module, attribute = _ELSEWHERE.get(name, (f"flambeau.{name}", None))
    if name in _SUBMODULES or attribute is not None:
        try:
            found = _importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise AttributeError(f"flambeau has no torch.{name} yet") from None
        return found if attribute is None else getattr(found, attribute)
    if name in _ROOMS:
        return _importlib.import_module(f"flambeau.{_ROOMS[name]}")
    if name.startswith("_foreach_"):
        from flambeau.foreach import FUNCTIONS

        if name in FUNCTIONS:
            return FUNCTIONS[name]
    raise AttributeError(
        f"module 'torch' has no attribute '{name}' (flambeau does not have it, or not yet)"
    )


def _tensor(input: _Any, name: str) -> Tensor:
    if not isinstance(input, Tensor):
        raise _errors.not_a_tensor(name, "input", 1, input)
    return input


def is_floating_point(input: Tensor) -> _builtins.bool:
    """Whether the tensor's dtype is a float dtype."""
    return _tensor(input, "is_floating_point").is_floating_point()


def is_complex(input: Tensor) -> _builtins.bool:
    """Whether the tensor's dtype is complex."""
    return _tensor(input, "is_complex").is_complex()


def numel(input: Tensor) -> _builtins.int:
    """Number of elements."""
    return _tensor(input, "numel").numel()


def is_nonzero(input: Tensor) -> _builtins.bool:
    """Whether a one-element tensor is not zero."""
    return _builtins.bool(_tensor(input, "is_nonzero"))


def result_type(tensor1: _Any, tensor2: _Any) -> dtype:
    """The dtype that arithmetic of the two would have."""
    from flambeau.core.promotion import result_dtype

    return result_dtype(
        [(v.dtype, v.ndim == 0) if isinstance(v, Tensor) else type(v) for v in (tensor1, tensor2)]
    )


def set_num_threads(count: _builtins.int) -> None:
    """How many threads compiled programs may use."""
    from flambeau.execute.cpu import pool

    pool.set_num_threads(count)


def get_num_threads() -> _builtins.int:
    """How many threads compiled programs may use."""
    from flambeau.execute.cpu import pool

    return pool.get_num_threads()


def set_num_interop_threads(count: _builtins.int) -> None:
    """Accepted for PyTorch's sake: programs run one after another."""


def use_deterministic_algorithms(
    mode: _builtins.bool, *, warn_only: _builtins.bool = False
) -> None:
    """Whether each program is compiled at once, so that every run of it gives the same bits.

    Any one program is deterministic either way; but by default small ones run in NumPy at first,
    whose last bits may differ from compiled code's.
    """
    from flambeau.record.options import OPTIONS

    OPTIONS.always_compile = _builtins.bool(mode)


def are_deterministic_algorithms_enabled() -> _builtins.bool:
    """What `use_deterministic_algorithms` was told."""
    from flambeau.record.options import OPTIONS

    return OPTIONS.always_compile


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: float32 products are always computed in full float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"Invalid float32 matmul precision: {precision}")


def get_float32_matmul_precision() -> str:
    """The precision of float32 products: always the highest."""
    return "highest"


def typename(obj: _Any) -> str:
    """The type's name; for tensors PyTorch's legacy one."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


_overriding.register(globals(), (*_PLACES, "tensor", "is_floating_point", "is_complex", "numel"))
