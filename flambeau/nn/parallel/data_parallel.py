"""One process, several GPUs; without GPUs the module is simply called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import cuda
from flambeau.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls `module` on the parts of a batch, one for each GPU; without GPUs, on the batch."""

    def __init__(
        self,
        module: Any,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        count = cuda.device_count() if cuda.is_available() else 0
        self.module = module
        if not count:
            self.device_ids: list[Any] = []
            return
        listed = list(range(count)) if device_ids is None else list(device_ids)
        if len(listed) > 1:
            raise NotImplementedError("DataParallel over several GPUs is not supported")
        self.dim = dim
        self.device_ids = listed
        self.output_device = listed[0] if output_device is None else output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Any,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call a module once on the parts of a batch, one for each GPU."""
    if not cuda.is_available():
        raise RuntimeError("device type could not be determined")
    listed = inputs if isinstance(inputs, tuple) else (inputs,)
    wrapped = DataParallel(module, device_ids, output_device, dim)
    return wrapped(*listed, **(module_kwargs or {}))
