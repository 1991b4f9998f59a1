"""The inner modules of the data loader, under PyTorch's names."""

from flambeau.utils.data._utils import collate, worker

__all__ = ["collate", "worker"]
