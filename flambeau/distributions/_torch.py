"""The one door through which the distributions reach the tensor floor."""

from collections.abc import Callable
from typing import Any

from flambeau import linalg
from flambeau.autograd.function import Function
from flambeau.autograd.modes import enable_grad, no_grad
from flambeau.core.dtypes import finfo, float32, float64, get_default_dtype, int64
from flambeau.core.size import Size
from flambeau.functional import ternary
from flambeau.functional.counted import arange, eye, tril_indices
from flambeau.functional.creation import empty, full, ones, zeros
from flambeau.functional.from_data import as_tensor, tensor
from flambeau.functional.generators import default_generator
from flambeau.functional.randomness import (
    bernoulli,
    multinomial,
    normal,
    poisson,
    rand,
    randn,
)
from flambeau.functional.shaping import broadcast_tensors, cat, stack
from flambeau.functional.special_functions import i0e, i1e, igamma
from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor

# As it is with all three arguments.
where: Callable[[Tensor, Any, Any], Tensor] = ternary.where

__all__ = [
    "F",
    "Function",
    "Size",
    "Tensor",
    "arange",
    "as_tensor",
    "bernoulli",
    "broadcast_tensors",
    "cat",
    "default_generator",
    "empty",
    "enable_grad",
    "eye",
    "finfo",
    "float32",
    "float64",
    "full",
    "get_default_dtype",
    "i0e",
    "i1e",
    "igamma",
    "int64",
    "linalg",
    "multinomial",
    "no_grad",
    "normal",
    "ones",
    "poisson",
    "rand",
    "randn",
    "stack",
    "tensor",
    "tril_indices",
    "where",
    "zeros",
]
