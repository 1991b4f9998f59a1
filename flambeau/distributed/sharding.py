"""What shards a model or an optimizer over several processes: the classes, which refuse.

Programs that never shard import these and ask `isinstance(model, FullyShardedDataParallel)`: the
answer is no. Making one, or calling a function, raises NotImplementedError.
"""

from __future__ import annotations

import enum
from typing import Any

__path__: list[str] = []  # PyTorch's files of these packages are all this module

# Descriptions of how something would be sharded: they keep their arguments, and describe nothing
# that is done here.
_DESCRIPTIONS = (
    "Placement Shard _StridedShard Replicate Partial ParallelStyle ColwiseParallel "
    "RowwiseParallel SequenceParallel PrepareModuleInput PrepareModuleOutput CPUOffload "
    "MixedPrecision MixedPrecisionPolicy OffloadPolicy CPUOffloadPolicy FullStateDictConfig "
    "LocalStateDictConfig ShardedStateDictConfig StateDictConfig FullOptimStateDictConfig "
    "LocalOptimStateDictConfig ShardedOptimStateDictConfig OptimStateDictConfig "
    "StateDictOptions"
).split()
_CLASSES = (
    "FullyShardedDataParallel FSDPModule ZeroRedundancyOptimizer DistributedOptimizer "
    "PostLocalSGDOptimizer DTensor DeviceMesh ModelAverager PeriodicModelAverager Join Joinable "
    "JoinHook ShardedGradScaler ModuleWrapPolicy CustomPolicy StateDictSettings "
    "FileSystemReader FileSystemWriter StorageReader StorageWriter DefaultSavePlanner "
    "DefaultLoadPlanner SavePlanner LoadPlanner _EmptyStateDictLoadPlanner TCPStore FileStore "
    "HashStore PrefixStore Store HuggingFaceStorageReader HuggingFaceStorageWriter"
).split()
_FUNCTIONS = (
    "init_device_mesh fully_shard distribute_tensor distribute_module wrap enable_wrap "
    "always_wrap_policy size_based_auto_wrap_policy transformer_auto_wrap_policy "
    "lambda_auto_wrap_policy parallelize_module load_state_dict save_state_dict async_save "
    "load_sharded_optimizer_state_dict _load_state_dict dcp_to_torch_save torch_save_to_dcp "
    "get_model_state_dict set_model_state_dict get_optimizer_state_dict set_optimizer_state_dict "
    "get_state_dict set_state_dict context_parallel implicit_replication _sync_module_states save "
    "load compute_local_shape_and_global_offset wait_tensor all_to_all_single_autograd"
).split()


class ShardingStrategy(enum.Enum):
    """How much of a model each process would hold."""

    FULL_SHARD = 1
    SHARD_GRAD_OP = 2
    NO_SHARD = 3
    HYBRID_SHARD = 4
    _HYBRID_SHARD_ZERO2 = 5


class BackwardPrefetch(enum.Enum):
    """When the next shard would be gathered in a backward pass."""

    BACKWARD_PRE = 1
    BACKWARD_POST = 2


class StateDictType(enum.Enum):
    """What a state dict of a sharded model would hold."""

    FULL_STATE_DICT = 1
    LOCAL_STATE_DICT = 2
    SHARDED_STATE_DICT = 3


class OptimStateKeyType(enum.Enum):
    """How the state of a sharded optimizer would name parameters."""

    PARAM_NAME = 1
    PARAM_ID = 2


def _reason(name: str) -> str:
    return (
        f"torch.distributed: {name} is not supported: a group has one process here, which holds "
        "the whole model"
    )


class _Description:
    """The arguments it was made with."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args = args
        self.__dict__.update(options)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(type(self))


def _refusing_class(name: str) -> type:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(_reason(name))

    return type(name, (), {"__init__": __init__, "__module__": __name__})


def _refusing_function(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(_reason(f"{name}()"))

    refuse.__name__ = name
    return refuse


globals().update({name: type(name, (_Description,), {}) for name in _DESCRIPTIONS})
globals().update({name: _refusing_class(name) for name in _CLASSES})
globals().update({name: _refusing_function(name) for name in _FUNCTIONS})
__all__ = [
    "BackwardPrefetch", "OptimStateKeyType", "ShardingStrategy", "StateDictType",
    *_DESCRIPTIONS, *_CLASSES, *_FUNCTIONS,
]  # fmt: skip
