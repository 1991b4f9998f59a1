"""Names in checkpoint files: PyTorch's for Flambeau's objects, and back.

Note: two doors. `known()` is the closed table that load(weights_only=True) looks names up in:
nothing is imported for a file's sake. `find` is the door of weights_only=False: any name, imported
as pickle would, PyTorch's names led to Flambeau's modules.
"""

from __future__ import annotations

import codecs
import functools
import importlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from flambeau.core import dtypes
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.core.size import Size
from flambeau.functional.generators import Generator
from flambeau.functional.memory import LEGACY_STORAGES, TypedStorage, UntypedStorage
from flambeau.serialization import rebuild
from flambeau.serialization.options import get_safe_globals
from flambeau.tensor.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True)
class StorageKind:
    """A file's name of a class of storages; dtype None: bytes."""

    name: str
    dtype: DType | None


UNTYPED = StorageKind("UntypedStorage", None)
KINDS = {kind.dtype: StorageKind(name, kind.dtype) for name, kind in LEGACY_STORAGES.items()}
_BY_NAME = {kind.name: kind for kind in KINDS.values()}

# Element types of PyTorch's that there is nothing for here.
FOREIGN_STORAGES = frozenset(
    "QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage".split()
)

_PLACES: dict[Any, tuple[str, str]] = {
    Tensor: ("torch", "Tensor"),
    Parameter: ("torch.nn.parameter", "Parameter"),
    Buffer: ("torch.nn.parameter", "Buffer"),
    Size: ("torch", "Size"),
    Device: ("torch", "device"),
    Generator: ("torch._C", "Generator"),
    TypedStorage: ("torch.storage", "TypedStorage"),
    UntypedStorage: ("torch.storage", "UntypedStorage"),
}
_REBUILD_FILES = {
    "_rebuild_from_type_v2": "torch._tensor",
    "_get_layout": "torch.serialization",
}
_REBUILD = {
    name: (_REBUILD_FILES.get(name, "torch._utils"), function)
    for name, function in rebuild.FUNCTIONS.items()
}
_REBUILD_NAMES: dict[Any, tuple[str, str]] = {
    function: (module, name) for name, (module, function) in _REBUILD.items()
}

# Classes of Flambeau's that stand in other files than PyTorch's.
_FILES = {
    "ChannelShuffle": "torch.nn.modules.channelshuffle",
    "MultiheadAttention": "torch.nn.modules.activation",
    "LinearCrossEntropyLoss": "torch.nn.modules.loss",
    "LazyLinear": "torch.nn.modules.linear",
    "AdamW": "torch.optim.adamw",
}
_BEGINNINGS = (
    ("torch.nn.modules", "Lazy", "BatchNorm", "torch.nn.modules.batchnorm"),
    ("torch.nn.modules", "Lazy", "Conv", "torch.nn.modules.conv"),
    ("torch.nn.modules", "Lazy", "InstanceNorm", "torch.nn.modules.instancenorm"),
)
_MOVED = {
    "torch.nn.modules.unpooling": "torch.nn.modules.pooling",
    "torch.nn.modules.rnn_cells": "torch.nn.modules.rnn",
    "torch.optim.schedule": "torch.optim.lr_scheduler",
    "torch.optim.cyclic_schedule": "torch.optim.lr_scheduler",
    "torch.optim.combined_schedule": "torch.optim.lr_scheduler",
}


def pytorch_name(obj: Any) -> tuple[str, str] | None:
    """The (module, name) that PyTorch has for a class or function of Flambeau's; else None."""
    if isinstance(obj, DType):
        return "torch", obj.name
    if isinstance(obj, (type, FunctionType)):
        found = _PLACES.get(obj) or _REBUILD_NAMES.get(obj)
        if found is not None:
            return found
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or name is None or module.partition(".")[0] != "flambeau":
        return None
    theirs = "torch" + module[len("flambeau") :]
    if theirs.startswith("torch.vision"):
        theirs = "torchvision" + theirs[len("torch.vision") :]
    elif theirs.startswith("torch.metrics"):
        theirs = "torchmetrics" + theirs[len("torch.metrics") :]
    if name in _FILES and theirs.startswith(_FILES[name].rpartition(".")[0]):
        return _FILES[name], name
    for inside, first, second, file in _BEGINNINGS:
        if theirs.startswith(inside) and name.startswith(first + second):
            return file, name
    return _MOVED.get(theirs, theirs), name


def _storage_kind(module: str, name: str) -> StorageKind | None:
    if module in ("torch", "torch.cuda") and name in _BY_NAME:
        return _BY_NAME[name]
    if name == "UntypedStorage" and module in ("torch", "torch.storage"):
        return UNTYPED
    return None


def unsupported(module: str, name: str) -> str | None:
    """What of PyTorch's this name stands for that Flambeau has not; None where it has."""
    if module.partition(".")[0] != "torch":
        return None
    foreign = name in FOREIGN_STORAGES or name.startswith(("float8_", "float4_", "q", "complex32"))
    if module == "torch" and foreign:
        return f"{module}.{name}"
    if name in rebuild.MISSING:
        return rebuild.MISSING[name]
    return None


@functools.cache
def known() -> dict[str, Any]:
    """The names that load(weights_only=True) understands, with what they mean."""
    table: dict[str, Any] = {
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "_codecs.encode": codecs.encode,
        "builtins.bytearray": bytearray,
        "builtins.set": set,
        "builtins.complex": complex,
        "torch.nn.parameter.Parameter": Parameter,
        "torch.Size": Size,
        "torch.Tensor": Tensor,
        "torch.device": Device,
        "torch.storage.TypedStorage": TypedStorage,
    }
    table.update((f"torch.{dtype.name}", dtype) for dtype in dtypes.ALL)
    table.update((f"{module}.{name}", made) for name, (module, made) in _REBUILD.items())
    for kind in KINDS.values():
        table[f"torch.{kind.name}"] = table[f"torch.cuda.{kind.name}"] = kind
    table["torch.storage.UntypedStorage"] = UNTYPED
    return table


def user_globals() -> dict[str, Any]:
    """What `add_safe_globals` allowed, by the name that files have for it."""
    table = {}
    for item in get_safe_globals():
        if isinstance(item, tuple):
            obj, name = item
            table[name] = obj
            continue
        module, name = pytorch_name(item) or (item.__module__, item.__qualname__)
        table[f"{module}.{name}"] = item
        table[f"{item.__module__}.{item.__qualname__}"] = item
    return table


_ROOTS = {"torch": "flambeau", "torchvision": "flambeau.vision", "torchmetrics": "flambeau.metrics"}


def find(module: str, name: str) -> Any:
    """The object of that name, PyTorch's names being Flambeau's. AttributeError, ImportError."""
    kind = _storage_kind(module, name)
    if kind is not None:
        return kind
    found = known().get(f"{module}.{name}")
    if found is not None:
        return found
    root, _, rest = module.partition(".")
    if root not in _ROOTS:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found
    if (module, name) == ("torch._C", "Generator"):
        return Generator
    parts = rest.split(".") if rest else []
    # PyTorch spreads its classes over more files: the package above has them as well.
    while True:
        try:
            found = importlib.import_module(".".join([_ROOTS[root], *parts]))
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (ModuleNotFoundError, AttributeError):
            if not parts:
                break
            parts.pop()
    raise AttributeError(f"flambeau has nothing for {module}.{name}, which the file names")
