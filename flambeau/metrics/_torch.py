"""The one door through which metrics reach the tensor floor."""

from flambeau.autograd.modes import no_grad, set_grad_enabled
from flambeau.core.device import device
from flambeau.core.dtypes import DType as dtype
from flambeau.core.dtypes import (
    bfloat16,
    bool_,
    finfo,
    float16,
    float32,
    get_default_dtype,
    int32,
    int64,
)
from flambeau.core.dtypes import from_numpy as dtype_of_array
from flambeau.functional import pointwise
from flambeau.functional.counted import arange, linspace
from flambeau.functional.creation import full, full_like, ones, ones_like, zeros, zeros_like
from flambeau.functional.from_data import as_tensor, tensor
from flambeau.functional.indexing import scatter_add
from flambeau.functional.joining import cat, stack
from flambeau.functional.linear_algebra import matmul
from flambeau.functional.ordering import bucketize
from flambeau.functional.pointwise import maximum, minimum
from flambeau.functional.powers import pow
from flambeau.functional.randomness import multinomial, poisson
from flambeau.functional.rearranging import one_hot
from flambeau.functional.ternary import where
from flambeau.nn import functional as F
from flambeau.nn.modules.container import ModuleDict, ModuleList
from flambeau.nn.modules.module import Module
from flambeau.record.recorder import LOCAL, end_step
from flambeau.tensor.parameter import Parameter
from flambeau.tensor.tensor import Tensor, from_array

__all__ = [
    "F",
    "LOCAL",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "Tensor",
    "arange",
    "as_tensor",
    "bfloat16",
    "bool_",
    "bucketize",
    "cat",
    "device",
    "end_step",
    "dtype",
    "dtype_of_array",
    "finfo",
    "float16",
    "float32",
    "from_array",
    "full",
    "full_like",
    "get_default_dtype",
    "int32",
    "int64",
    "linspace",
    "matmul",
    "maximum",
    "minimum",
    "multinomial",
    "no_grad",
    "one_hot",
    "ones",
    "ones_like",
    "pointwise",
    "poisson",
    "pow",
    "scatter_add",
    "set_grad_enabled",
    "stack",
    "tensor",
    "where",
    "zeros",
    "zeros_like",
]
