"""Process groups: who takes part. Here it is always this one process."""

from __future__ import annotations

import enum
import os
from datetime import timedelta
from typing import Any

default_pg_timeout = timedelta(minutes=30)


class DistError(RuntimeError):
    """An error of the communication between processes."""


class DistBackendError(DistError):
    """An error of a backend."""


class DistNetworkError(DistError):
    """An error of the network."""


class DistStoreError(DistError):
    """An error of the store through which processes meet."""


class ReduceOp(enum.Enum):
    """How the values of the processes are combined: of one process, every way gives its value."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


# In PyTorch the enumeration stands inside; its members are instances of both.
ReduceOp.RedOpType = ReduceOp  # type: ignore[attr-defined]


class Backend(str):
    """The name of a backend, in lower case. ValueError for names that are not strings."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    XCCL = "xccl"
    UCC = "ucc"
    MPI = "mpi"
    FAKE = "fake"
    backend_list = (UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, FAKE)

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return super().__new__(cls, name.lower())


class ProcessGroup:
    """A group of one process, or (from a process outside it) of none."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def rank(self) -> int:
        """This process' place in the group."""
        return 0

    def size(self) -> int:
        """How many processes the group has."""
        return 1

    def name(self) -> str:
        """The backend's name."""
        return self.backend


class _World:
    default: ProcessGroup | None = None


class _GroupMeta(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The default group; None before init_process_group."""
        return _World.default


class group(metaclass=_GroupMeta):
    """`group.WORLD` is the default group."""


class GroupMember(metaclass=_GroupMeta):
    """`GroupMember.WORLD` is the default group."""

    NON_GROUP_MEMBER = -100


def is_available() -> bool:
    """Whether there is a torch.distributed at all."""
    return True


def is_initialized() -> bool:
    """Whether init_process_group was called."""
    return _World.default is not None


def is_gloo_available() -> bool:
    """Whether processes on CPUs can form a group (here: of one)."""
    return True


def _never() -> bool:
    """Whether this backend is there: no."""
    return False


is_nccl_available = is_mpi_available = is_ucc_available = is_xccl_available = _never


def is_torchelastic_launched() -> bool:
    """Whether the launcher torchrun started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def is_backend_available(backend: str) -> bool:
    """Whether a backend of that name is there."""
    return backend.lower() == "gloo"


def checked_group(chosen: Any) -> ProcessGroup:
    """The group, by default the default one. ValueError before init_process_group."""
    if _World.default is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    return chosen if isinstance(chosen, ProcessGroup) else _World.default


def _from_environment(name: str, given: int) -> int:
    if given != -1:
        return given
    if name not in os.environ:
        raise ValueError(
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set"
        )
    return int(os.environ[name])


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Makes the default group, of this process alone.

    NotImplementedError for more than one process; RuntimeError for backends that are not there;
    ValueError the second time.
    """
    if _World.default is not None:
        raise ValueError("trying to initialize the default process group twice!")
    named = Backend(backend or "gloo")
    if (init_method or "env://").startswith("env://") and store is None:
        rank = _from_environment("RANK", rank)
        world_size = _from_environment("WORLD_SIZE", world_size)
    if world_size > 1:
        raise NotImplementedError(
            f"init_process_group: {world_size} processes asked for; Flambeau's groups have one "
            "process so far"
        )
    if named in ("nccl", "ucc", "xccl"):
        raise RuntimeError(f"Distributed package doesn't have {named.upper()} built in")
    if named == "mpi":
        raise RuntimeError(
            "Distributed package doesn't have MPI built in. MPI is only included if you build "
            "PyTorch from source on a host that has MPI installed."
        )
    _World.default = ProcessGroup(named)


def destroy_process_group(group: Any = None) -> None:
    """Ends a group; the default one by default."""
    if group is None or group is _World.default:
        if _World.default is None:
            raise AssertionError("Process group cannot be None")
        _World.default = None


def new_group(
    ranks: Any = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
) -> Any:
    """A group of some of the processes. ValueError for ranks that are not there."""
    default = checked_group(None)
    if ranks is not None and any(r not in (0,) for r in ranks):
        raise ValueError("the new group's rank should be within the world_size set by ")
    return ProcessGroup(Backend(backend) if backend else default.backend)


def get_rank(group: Any = None) -> int:
    """This process' place in the group. ValueError before init_process_group."""
    return checked_group(group).rank()


def get_world_size(group: Any = None) -> int:
    """How many processes the group has. ValueError before init_process_group."""
    return checked_group(group).size()


def get_backend(group: Any = None) -> str:
    """The name of the group's backend. ValueError before init_process_group."""
    return checked_group(group).backend


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank in the default group of a process of another one."""
    if group_rank != 0:
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return 0


def get_group_rank(group: Any, global_rank: int) -> int:
    """The rank in a group of a process of the default one."""
    if global_rank != 0:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return 0


def get_process_group_ranks(group: Any) -> list[int]:
    """The ranks of the processes of a group. ValueError before init_process_group."""
    return list(range(checked_group(group).size()))


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process' place on its machine, from LOCAL_RANK. RuntimeError where that is not set."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context "
        "and want the code to run locally instead."
    )
