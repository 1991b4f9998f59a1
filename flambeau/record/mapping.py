"""Functions recorded on one slice for all of them (vmap), as events: Note [Lanes] in
`ops/lanes.py`.

`ENTER_MAP` gives the lanes, `LEAVE_MAP` takes the results for one slice and gives those for all;
between them no program may run, since it would compute the one slice. What needs one raises
`Unbatched`; the recording is rolled back to where it was, and the slices go one by one.
"""

from __future__ import annotations

from typing import Any

from flambeau.graph.batching import Batching, Level, Unbatched, advanced, depends
from flambeau.ops import view
from flambeau.ops.lanes import lane
from flambeau.ops.primitive import lifted
from flambeau.ops.randomness import random_advance
from flambeau.ops.value import Value, latest_order
from flambeau.record.contents import Contents
from flambeau.record.events import Event
from flambeau.record.places import warn_user
from flambeau.record.recording import LOCAL, Recording, trace_of
from flambeau.record.records import StorageRecord, TensorRecord
from flambeau.record.trace import Trace

__all__ = ["Batching", "Level", "Mark", "Unbatched", "depends"]


class NotTheSame(ValueError):
    """A result is to be the same for all slices, and is not."""


class EnterMapOp(Event):
    """Lanes of tensors: key = (op, tensors, (axes, size, randomness))."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        axes, size, randomness = key[2]
        values = [trace.read(number) for number in key[1]]
        level = Level(latest_order(), size, randomness, len(trace.tensors))
        trace.levels.append(level)
        for value, axis in zip(values, axes, strict=True):
            made = lane(value, axis=axis, level=level.number)
            trace.new_tensor(made, grad_name=self.grad_name)


class LeaveMapOp(Event):
    """The results for all slices: key = (op, lanes, results for one, where their axes of slices
    are to be). Behind them stand the lanes that were written, with that axis first; `extra` says
    which these are.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> tuple[int, ...]:
        level = trace.levels[-1]
        batching = Batching(level)
        values = [(trace.read(number), axis) for number, axis in zip(key[2], key[3], strict=True)]
        written = tuple(
            place for place, number in enumerate(key[1]) if trace.tensors[number].storage.version
        )
        values += [(trace.read(key[1][place]), 0) for place in written]
        made = []
        for value, axis in values:
            rows = batching.of(value)
            if axis is None:
                if rows is not None:
                    raise NotTheSame
                made.append(value)
                continue
            if rows is None:
                (rows,) = lifted(level.size, (value,), (False,))
            made.append(view.from_front(rows, axis))
        for cut, operands in trace.cuts:
            # A derivative that is Python code is one for one slice.
            if cut in batching.rows and any(_is_tracked(batching, x) for x in operands or (cut,)):
                raise Unbatched
        trace.levels.pop()
        _warn(batching.slow)
        for value in made:
            trace.new_tensor(value, grad_name=self.grad_name)
        return written


def _warn(slow: set[str]) -> None:
    """Says what has no rule for all slices, at the line that called vmap."""
    for name in sorted(slow):
        warn_user(
            "There is a performance drop because we have not yet implemented the batching rule for "
            f"{name}. It runs slice by slice."
        )


def _is_tracked(batching: Batching, value: Value | None) -> bool:
    """Whether gradients of all slices may flow through a value."""
    rows = None if value is None else batching.of(value)
    return value is not None and (value.tracked if rows is None else rows.tracked)


class AbandonMapOp(Event):
    """The function has raised an error."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.levels.pop()


ENTER_MAP = EnterMapOp("vmap", "SelectBackward0")
LEAVE_MAP = LeaveMapOp("vmap", "StackBackward0")
ABANDON_MAP = AbandonMapOp("vmap")


def written(trace: Contents, tensor: TensorRecord, value: Value, name: str) -> Value:
    """What a write puts into a tensor under vmap. RuntimeError where slices would write different
    things to memory from outside, and for draws that are not allowed.
    """
    if value.primitive is random_advance:
        for level in reversed(trace.levels):
            if level.randomness == "error":
                raise RuntimeError(
                    "vmap: called random operation while in randomness error mode. Please either "
                    "use the 'same' or 'different' randomness flags on vmap or perform the "
                    "randomness operation out of vmap"
                )
            if level.randomness == "different":
                value = advanced(value, level)
        for level in trace.levels:
            level.advanced.add(value)
        return value
    old = trace.data(tensor.storage)
    for level in trace.levels:
        if (
            depends(value, level, {})
            and not depends(old, level, {})
            and _is_outside(trace, tensor.storage, level)
        ):
            raise RuntimeError(_refusal(tensor, level, name))
    return value


def _refusal(tensor: TensorRecord, level: Level, name: str) -> str:
    """Why slices may not write different things to one memory."""
    shape = list(tensor.meta.shape)
    if name in ("add_", "sub_"):
        return f"output with shape {shape} doesn't match the broadcast shape {[level.size, *shape]}"
    if name == "batch_norm":
        return (
            "Batch norm got a batched tensor as input while the running_mean or running_var, which "
            "will be updated in place, were not batched."
        )
    if name == "random_":
        return (
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will "
            "appear like same randomness. If this is necessary for your usage, please file an "
            "issue with functorch."
        )
    return (
        "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor "
        "`other` in extra_args that has more elements than `self`. This happened due to `other` "
        "being vmapped over but `self` not being vmapped over in a vmap. Please try to use "
        "out-of-place operators instead of inplace arithmetic. If said operator is being called "
        "inside the PyTorch framework, please file a bug report instead."
    )


def _is_outside(trace: Contents, storage: StorageRecord, level: Level) -> bool:
    """Whether memory was there before the function under vmap was called."""
    if storage.base is not None:
        return True
    return any(tensor.storage is storage for tensor in trace.tensors[: level.first])


class Call:
    """A function that is under way on one slice for all of them. `lenient`: what vmap refuses goes
    slice by slice. `checks` are (tensor, function) to be called for all slices at its end.
    """

    __slots__ = ("checks", "lenient")

    def __init__(self, lenient: bool) -> None:
        self.checks: list[tuple[Any, Any]] = []
        self.lenient = lenient


def is_mapped(tensor: Any) -> bool:
    """Whether a tensor is another one for each slice of a call of vmap that is under way."""
    rec = LOCAL.rec
    if tensor._rec is not rec:
        return False
    trace = trace_of(rec)
    value = trace.tracked_value(tensor._num)
    return any(depends(value, level, {}) for level in trace.levels)


def refuse(tensor: Any, message: str) -> None:
    """RuntimeError where a tensor is another one for each slice."""
    if is_mapped(tensor):
        if any(call.lenient for call in LOCAL.levels):
            raise Unbatched
        raise RuntimeError(message)


def checked_later(tensor: Any, check: Any) -> bool:
    """Whether a function is under vmap: then check(tensor) is called for all slices at its end."""
    if LOCAL.levels:
        LOCAL.levels[-1].checks.append((tensor, check))
    return bool(LOCAL.levels)


ITEM = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling "
    ".item() on a Tensor, please try to rewrite what you're doing with other operations. If error "
    "is occurring somewhere inside PyTorch internals, please file a bug report."
)
SHAPE = (
    "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap "
    "over aten::{}. Please file an issue at https://github.com/pytorch/pytorch/issues if you need "
    "this feature."
)
MASK = (
    "vmap: We do not support batching operators that can support dynamic shape. Attempting to "
    "batch over indexing with a boolean mask."
)
CHOICE = (
    "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this "
    "because for each batch this would return a differently shaped Tensor. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues if you need this feature."
)
MEMORY = "Cannot access data pointer of Tensor that doesn't have storage"
DECISION = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. "
    "We don't support that yet, please file an issue at "
    "https://github.com/pytorch/pytorch/issues ."
)


class Mark:
    """Where a recording is, so that what is recorded from here on can be undone."""

    def __init__(self) -> None:
        self.rec: Recording = LOCAL.rec
        self.state = self.rec.state
        self.grad_mode, self.autocast, self.root = LOCAL.grad_mode, LOCAL.autocast, LOCAL.root
        self.again = LOCAL.again

    def moved(self, rec: Recording) -> None:
        """A program has run in between: what is recorded since begins another recording."""
        if rec is not self.rec:
            self.rec, self.state = rec, rec.state
            while self.state.parent is not None:
                self.state = self.state.parent

    def roll_back(self) -> None:
        """Forgets what was recorded since; tensors made since can not be used any more."""
        rec, state = self.rec, self.state
        LOCAL.grad_mode, LOCAL.autocast, LOCAL.root = self.grad_mode, self.autocast, self.root
        LOCAL.again = self.again
        if LOCAL.rec is not rec or rec.taken:
            LOCAL.rec = Recording(LOCAL.root)
            return
        bases, scalars, frames, cuts = state.lengths
        for tensor in rec.handles[state.count :]:
            tensor._rec, tensor._num = (None, -1) if tensor._storage is not None else (DROPPED, -1)
            if tensor._storage is None:
                tensor._failure = "the call of vmap that it was made in goes slice by slice"
        for storage, _ in rec.bases[bases:]:
            if storage.recording is rec:
                storage.recording = None
        del rec.handles[state.count :], rec.bases[bases:], rec.scalars[scalars:]
        rec.frames, rec.cuts = rec.frames[:frames], rec.cuts[:cuts]
        rec.state, rec.trace, rec.nodes = state, None, None
        metas = [record.meta for record in trace_of(rec).tensors]
        for tensor, meta in zip(rec.handles, metas, strict=True):
            tensor._meta = meta if tensor._storage is None else meta.at_zero


DROPPED = Recording(LOCAL.root)
DROPPED.taken = DROPPED.done = DROPPED.failed = True
