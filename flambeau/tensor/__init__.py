"""Tensors: the class, its printing, conversions to and from other libraries."""

from flambeau.tensor.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor, is_tensor

__all__ = ["Buffer", "Parameter", "Tensor", "is_tensor"]
