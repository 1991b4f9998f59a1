"""Parameters and buffers, under PyTorch's module name."""

from flambeau.nn._torch import Buffer, Parameter

__all__ = ["Buffer", "Parameter"]
