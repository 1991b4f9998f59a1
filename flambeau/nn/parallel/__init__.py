"""Several devices, in one process (`DataParallel`) or several (`DistributedDataParallel`)."""

from flambeau.nn.parallel.data_parallel import DataParallel, data_parallel
from flambeau.nn.parallel.distributed import DistributedDataParallel
from flambeau.nn.parallel.scatter_gather import (
    gather,
    parallel_apply,
    replicate,
    scatter,
    scatter_kwargs,
)

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
    "scatter_kwargs",
]
