"""The one door through which transforms, data sets and image files reach the tensor floor."""

from flambeau.autograd.modes import no_grad
from flambeau.core.dtypes import DType as dtype
from flambeau.core.dtypes import (
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
)
from flambeau.core.dtypes import from_numpy as dtype_of_array
from flambeau.functional import generators
from flambeau.functional.creation import full, ones, zeros, zeros_like
from flambeau.functional.from_data import as_tensor, from_numpy, tensor
from flambeau.functional.joining import cat, stack
from flambeau.functional.random_integers import randint, randperm
from flambeau.functional.randomness import multinomial, rand, randn
from flambeau.functional.ternary import where
from flambeau.nn import functional as F
from flambeau.nn.modules.module import Module
from flambeau.record.meta import meta_of
from flambeau.tensor.tensor import Tensor, from_array, from_storage, is_tensor

__all__ = [
    "F",
    "Module",
    "Tensor",
    "as_tensor",
    "cat",
    "dtype",
    "dtype_of_array",
    "float32",
    "float64",
    "from_array",
    "from_numpy",
    "from_storage",
    "full",
    "generators",
    "get_default_dtype",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_tensor",
    "meta_of",
    "multinomial",
    "no_grad",
    "ones",
    "rand",
    "randint",
    "randn",
    "randperm",
    "stack",
    "tensor",
    "uint16",
    "uint8",
    "where",
    "zeros",
    "zeros_like",
]
