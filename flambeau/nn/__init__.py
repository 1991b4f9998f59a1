"""Layers, losses, containers and their initialisers: PyTorch's torch.nn."""

from flambeau.nn import attention, grad, init, modules, parallel, parameter, utils
from flambeau.nn._torch import Buffer, Parameter
from flambeau.nn._torch import F as functional
from flambeau.nn.modules import *  # noqa: F403  (its __all__ is public here)
from flambeau.nn.parallel import DataParallel
from flambeau.nn.parameter import UninitializedBuffer, UninitializedParameter

__all__ = [
    "attention",
    "grad",
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
]
__all__ += modules.__all__
