"""AdamW, under PyTorch's module name."""

from flambeau.optim.adam import AdamW

__all__ = ["AdamW"]
