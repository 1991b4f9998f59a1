"""torch.utils.tensorboard: event files for TensorBoard (needs the package `tensorboard`)."""

try:
    import tensorboard
except ModuleNotFoundError as error:
    raise ImportError(
        "torch.utils.tensorboard needs the package tensorboard: pip install 'flambeau[tensorboard]'"
    ) from error

from flambeau.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]

del tensorboard
