"""Tensors: the class, its printing, conversions to and from other libraries."""

from flambeau.tensor.tensor import Buffer, Parameter, Tensor, is_tensor

__all__ = ["Buffer", "Parameter", "Tensor", "is_tensor"]
