"""The one door through which `nn`, `optim` and `utils.data` reach the tensor floor."""

from typing import TYPE_CHECKING, Any

from flambeau.autograd.function import Function
from flambeau.autograd.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from flambeau.core.device import device
from flambeau.core.dtypes import FROM_PYTHON, float32, float64, get_default_dtype, int64
from flambeau.core.dtypes import DType as dtype
from flambeau.core.size import Size
from flambeau.functional.constants import zeros_recorded
from flambeau.functional.counted import arange, tril_indices
from flambeau.functional.creation import (
    empty,
    empty_like,
    full,
    full_at_rest,
    full_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from flambeau.functional.from_data import as_tensor, tensor
from flambeau.functional.generators import Generator, manual_seed
from flambeau.functional.moments import vector_norm
from flambeau.functional.neural import chosen_reduction
from flambeau.functional.pointwise import maximum
from flambeau.functional.random_integers import randint, randperm
from flambeau.functional.randomness import multinomial, rand
from flambeau.functional.shaping import cat, stack
from flambeau.nn import functional as F
from flambeau.tensor.overriding import plain
from flambeau.tensor.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor, is_tensor

if TYPE_CHECKING:
    from flambeau import linalg
else:

    def __getattr__(name: str) -> Any:
        if name == "linalg":  # large, and most programs do without
            from flambeau import linalg

            return linalg
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "FROM_PYTHON",
    "Buffer",
    "F",
    "Function",
    "Generator",
    "Parameter",
    "Size",
    "Tensor",
    "arange",
    "as_tensor",
    "cat",
    "chosen_reduction",
    "device",
    "dtype",
    "empty",
    "empty_like",
    "enable_grad",
    "float32",
    "float64",
    "full",
    "full_at_rest",
    "full_like",
    "get_default_dtype",
    "int64",
    "is_grad_enabled",
    "is_tensor",
    "linalg",
    "manual_seed",
    "maximum",
    "multinomial",
    "no_grad",
    "ones",
    "ones_like",
    "plain",
    "rand",
    "randint",
    "randperm",
    "set_grad_enabled",
    "stack",
    "tensor",
    "tril_indices",
    "vector_norm",
    "zeros",
    "zeros_like",
    "zeros_recorded",
]
