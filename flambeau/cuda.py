"""torch.cuda as it is without a CUDA device: questions have answers, work is refused."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn

from flambeau.core.device import check_available, cuda_device_count
from flambeau.core.device import device as _device
from flambeau.core.errors import AcceleratorError as AcceleratorError
from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError
from flambeau.functional.generators import checked_seed
from flambeau.tensor.tensor import Tensor


def is_available() -> bool:
    """Whether tensors can live on a CUDA device."""
    return cuda_device_count() > 0


def device_count() -> int:
    """How many CUDA devices can be used."""
    return cuda_device_count()


def is_initialized() -> bool:
    """Whether a CUDA device is in use."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes in bfloat16: False without one."""
    return False


def get_arch_list() -> list[str]:
    """The architectures that are compiled for: none without CUDA."""
    return []


def _refuse(name: str) -> NoReturn:
    check_available(_device("cuda"))
    raise NotImplementedError(f"torch.cuda.{name} is not implemented")


# ---- which device --------------------------------------------------------------------------------


def init() -> None:
    """Begins to use CUDA. AssertionError without a CUDA device."""
    _refuse("init")


def current_device() -> int:
    """The index of the current CUDA device. AssertionError without one."""
    _refuse("current_device")


def set_device(device: Any) -> None:
    """Makes a CUDA device the current one. AssertionError without one."""
    _refuse("set_device")


def get_device_name(device: Any = None) -> str:
    """The name of a CUDA device. AssertionError without one."""
    _refuse("get_device_name")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a CUDA device. AssertionError without one."""
    _refuse("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """What a CUDA device can do. AssertionError without one."""
    _refuse("get_device_properties")


class device:
    """A context in which a CUDA device is the current one. AssertionError on entry without one."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def __enter__(self) -> None:
        if self.device is not None:
            _refuse("device")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


# ---- streams and time ----------------------------------------------------------------------------


def synchronize(device: Any = None) -> None:
    """Waits for the device's work. AssertionError without a CUDA device."""
    _refuse("synchronize")


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to. AssertionError without a CUDA device."""
    _refuse("current_stream")


class Stream:
    """A queue of work on a CUDA device. RuntimeError without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("torch.cuda.Stream requires CUDA support")


class Event:
    """A mark in a stream. RuntimeError without a CUDA device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("torch.cuda.Event requires CUDA support")


# ---- random numbers ------------------------------------------------------------------------------


def manual_seed(seed: int) -> None:
    """Seeds the current CUDA device; nothing to do without one."""
    checked_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds every CUDA device; nothing to do without one."""
    checked_seed(seed)


def seed() -> None:
    """Seeds the current CUDA device at random; nothing to do without one."""


def seed_all() -> None:
    """Seeds every CUDA device at random; nothing to do without one."""


def initial_seed() -> int:
    """The seed of the current CUDA device. AssertionError without one."""
    _refuse("initial_seed")


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a CUDA device's generator. AssertionError without one."""
    _refuse("get_rng_state")


def get_rng_state_all() -> list[Tensor]:
    """The state of every CUDA device's generator: none without one."""
    return []


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Sets a CUDA generator's state; nothing to do without a device."""


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Sets every CUDA generator's state; nothing to do without devices."""


# ---- memory --------------------------------------------------------------------------------------


def empty_cache() -> None:
    """Gives unused memory of the device back; nothing to do without one."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors take on the device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors took on the device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes held on the device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes held on the device."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts the peaks over. AssertionError without a CUDA device."""
    _refuse("reset_peak_memory_stats")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the device. AssertionError without one."""
    _refuse("mem_get_info")


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """Figures of the device's memory: none without one."""
    return OrderedDict()


host_memory_stats = memory_stats


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """Figures of the device's memory: none without one."""
    return {}


host_memory_stats_as_nested_dict = memory_stats_as_nested_dict
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved
default_generators: tuple[Any, ...] = ()
has_half, has_magma = True, False


class DeferredCudaCallError(Exception):
    """A call that waited for the device failed."""


def get_gencode_flags() -> str:
    """The compiler's flags: none without CUDA."""
    return ""


def is_tf32_supported() -> bool:
    """Whether the device multiplies in TF32: False without one."""
    return False


def set_stream(stream: Any) -> None:
    """Makes a stream the current one; None changes nothing."""
    if stream is not None:
        _refuse("set_stream")


class StreamContext:
    """A context in which a stream is the current one; None changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            _refuse("stream")

    def __exit__(self, *_: object) -> None:
        pass


stream = StreamContext


class device_of(device):
    """A context in which a tensor's device is the current one: nothing for tensors on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(None)


def caching_allocator_enable(value: bool = True) -> None:
    """Accepted: there is no device whose memory is kept."""


class CUDAGraph:
    """A recording of a device's work. RuntimeError without one."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Tried to instantiate dummy base class CUDAGraph")


def _needs_device(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        _refuse(name)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "AssertionError without a CUDA device."
    return refuse


can_device_access_peer = _needs_device("can_device_access_peer")
current_blas_handle = _needs_device("current_blas_handle")
cudart, default_stream = _needs_device("cudart"), _needs_device("default_stream")
get_per_process_memory_fraction = _needs_device("get_per_process_memory_fraction")
set_per_process_memory_fraction = _needs_device("set_per_process_memory_fraction")
get_sync_debug_mode = _needs_device("get_sync_debug_mode")
set_sync_debug_mode = _needs_device("set_sync_debug_mode")
ipc_collect, memory_summary = _needs_device("ipc_collect"), _needs_device("memory_summary")
memory_snapshot, utilization = _needs_device("memory_snapshot"), _needs_device("utilization")
reset_accumulated_memory_stats = _needs_device("reset_accumulated_memory_stats")
reset_max_memory_allocated = _needs_device("reset_max_memory_allocated")
reset_max_memory_cached = _needs_device("reset_max_memory_cached")
temperature, power_draw = _needs_device("temperature"), _needs_device("power_draw")
clock_rate, memory_usage = _needs_device("clock_rate"), _needs_device("memory_usage")
make_graphed_callables = _needs_device("make_graphed_callables")
graph = _needs_device("graph")


# ---- the legacy tensor types ---------------------------------------------------------------------


class _LegacyType(type):
    """Type names that exist without CUDA, and say so when they are called."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled."
        )

    def __instancecheck__(cls, instance: object) -> bool:
        return False


def _legacy_type(name: str) -> type:
    return _LegacyType(name, (), {"__doc__": "A legacy type name. TypeError without CUDA."})


FloatTensor = _legacy_type("FloatTensor")
DoubleTensor = _legacy_type("DoubleTensor")
HalfTensor = _legacy_type("HalfTensor")
BFloat16Tensor = _legacy_type("BFloat16Tensor")
ByteTensor = _legacy_type("ByteTensor")
CharTensor = _legacy_type("CharTensor")
ShortTensor = _legacy_type("ShortTensor")
IntTensor = _legacy_type("IntTensor")
LongTensor = _legacy_type("LongTensor")
BoolTensor = _legacy_type("BoolTensor")


__path__: list[str] = []  # so that `import torch.cuda.amp` may ask below it


def __getattr__(name: str) -> Any:
    if name == "amp":
        from flambeau.amp import cuda as amp

        return amp
    if name == "nvtx":
        from flambeau import nvtx

        return nvtx
    if name in ("graphs", "memory", "random", "streams"):
        return sys.modules[__name__]  # PyTorch's files of these functions
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
