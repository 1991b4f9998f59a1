"""torch.ao: quantisation under its newer name."""

from flambeau import quantization

__all__ = ["quantization"]
