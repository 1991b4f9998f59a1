"""Collective operations of a group of one process: each checks its arguments, and copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.distributed.group import ReduceOp, checked_group
from flambeau.tensor.tensor import Tensor


class Work:
    """An operation that was started: it has ended already."""

    def wait(self, timeout: Any = None) -> bool:
        """True: it has ended."""
        return True

    def is_completed(self) -> bool:
        """True: it has ended."""
        return True

    def is_success(self) -> bool:
        """True: it did what it should."""
        return True


def _ended(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _tensor(value: Any, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(value)} instead."
        )
    return value


def _only(values: Any, operation: str, name: str) -> Any:
    if len(values) != 1:
        raise RuntimeError(
            f"ProcessGroupGloo::{operation}: invalid {name} tensor list at index 0 (expected "
            f"length 1, got {len(values)})"
        )
    return values[0]


def _root(rank: int | None, operation: str) -> None:
    if rank not in (0, None):
        raise RuntimeError(f"ProcessGroupGloo::{operation}: invalid root rank: {rank}")


def _copy(target: Any, source: Any) -> None:
    with no_grad():
        _tensor(target, "tensor").copy_(_tensor(source, "tensor").reshape(target.shape))


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """The values of all processes combined, in place. Of one process it is its own value."""
    _tensor(tensor, "tensor")
    checked_group(group)
    return _ended(async_op)


def reduce(
    tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None,
    async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """The values of all processes combined at process `dst`, in place."""
    _tensor(tensor, "tensor")
    checked_group(group)
    _root(dst, "reduce")
    return _ended(async_op)


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """The value of process `src` for all of them, in place."""
    _tensor(tensor, "tensor")
    checked_group(group)
    _root(src, "broadcast")
    return _ended(async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """The values of all processes, into a list of tensors."""
    checked_group(group)
    _copy(_only(tensor_list, "allgather", "output"), tensor)
    return _ended(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """The values of all processes, into one tensor."""
    checked_group(group)
    _copy(output_tensor, input_tensor)
    return _ended(async_op)


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None,
    group: Any = None, async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """The values of all processes, into a list at process `dst`."""
    checked_group(group)
    _root(dst, "gather")
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    _copy(_only(gather_list, "gather", "output"), tensor)
    return _ended(async_op)


def scatter(
    tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None,
    group: Any = None, async_op: bool = False, group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """To each process its part of a list at process `src`."""
    checked_group(group)
    _root(src, "scatter")
    if not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _copy(tensor, _only(scatter_list, "scatter", "input"))
    return _ended(async_op)


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Combines lists element by element; each process gets its element."""
    checked_group(group)
    _copy(output, _only(input_list, "reduce_scatter", "input"))
    return _ended(async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Combines tensors; each process gets its part."""
    checked_group(group)
    _copy(output, input)
    return _ended(async_op)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """To each process the others' elements for it."""
    checked_group(group)
    _copy(
        _only(output_tensor_list, "alltoall", "output"),
        _only(input_tensor_list, "alltoall", "input"),
    )
    return _ended(async_op)


def all_to_all_single(
    output: Tensor, input: Tensor, output_split_sizes: Any = None, input_split_sizes: Any = None,
    group: Any = None, async_op: bool = False,
) -> Work | None:  # fmt: skip
    """To each process the others' parts for it."""
    checked_group(group)
    _copy(output, input)
    return _ended(async_op)


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits until every process is here."""
    checked_group(group)
    return _ended(async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Waits until every process is here."""
    checked_group(group)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Every process' object, into a list."""
    checked_group(group)
    object_list[0] = obj


def gather_object(
    obj: Any, object_gather_list: list[Any] | None = None, dst: int | None = None,
    group: Any = None, group_dst: int | None = None,
) -> None:  # fmt: skip
    """Every process' object, into a list at process `dst`."""
    checked_group(group)
    if not object_gather_list:
        raise ValueError("Argument ``object_gather_list`` must be specified on destination rank.")
    object_gather_list[0] = obj


def broadcast_object_list(
    object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None,
    group_src: int | None = None, weights_only: bool = False,
) -> None:  # fmt: skip
    """The objects of process `src` for all of them: of one process, its own."""
    checked_group(group)


def scatter_object_list(
    scatter_object_output_list: list[Any], scatter_object_input_list: list[Any] | None = None,
    src: int | None = None, group: Any = None, group_src: int | None = None,
    weights_only: bool = False,
) -> None:  # fmt: skip
    """To each process its object of a list at process `src`."""
    checked_group(group)
    if not scatter_object_input_list:
        raise ValueError("Argument ``scatter_object_input_list`` must be specified on source rank.")
    scatter_object_output_list[0] = scatter_object_input_list[0]


def _to_itself(verb: str, noun: str) -> Callable[..., Any]:
    def refuse(tensor: Tensor, rank: int | None = None, group: Any = None, tag: int = 0) -> Any:
        checked_group(group)
        raise ValueError(
            f"Invalid {noun} rank: {noun} rank should not be the same as the rank of the current "
            "process."
        )

    refuse.__name__ = refuse.__qualname__ = verb
    refuse.__doc__ = "ValueError: there is no other process."
    return refuse


send, isend = _to_itself("send", "destination"), _to_itself("isend", "destination")
recv, irecv = _to_itself("recv", "source"), _to_itself("irecv", "source")


class P2POp:
    """An `isend` or `irecv` for batch_isend_irecv."""

    def __init__(
        self, op: Any, tensor: Tensor, peer: int | None = None, group: Any = None, tag: int = 0,
        group_peer: int | None = None,
    ) -> None:  # fmt: skip
        self.op, self.tensor, self.peer, self.group, self.tag = op, tensor, peer, group, tag


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Any]:
    """Starts several of them. ValueError: there is no other process."""
    return [o.op(o.tensor, o.peer, o.group, o.tag) for o in p2p_op_list]
