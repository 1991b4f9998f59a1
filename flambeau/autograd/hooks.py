"""Hooks on the way of gradients, and gradients that tensors keep which are no leaves."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from flambeau.record import recorder
from flambeau.record.chain import Cut, frames_before, shows
from flambeau.record.history import MARK_CUT, passes_origin
from flambeau.tensor.tensor import Tensor


def run_hooks(hooks: dict[int, Any], gradient: Any) -> Any:
    for hook in list(hooks.values()):
        result = hook(gradient)
        if result is not None:
            _check_replacement(hook, gradient, result)
            gradient = result
    return gradient


def _check_replacement(hook: Any, gradient: Any, result: Any) -> None:
    """TypeError or RuntimeError where a hook's result cannot stand for the gradient."""
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    name = getattr(hook, "__name__", "<unknown>")
    was, now = gradient._meta, result._meta
    if was.dtype is not now.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {gradient.type()} got "
            f"{result.type()})"
        )
    if was.shape != now.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")


class HookCut:
    """The hooks of a non-leaf tensor, as a cut of the graph."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks = hooks

    def run(self, gradient: Any, cut: Cut) -> tuple[Any, ...]:
        return (run_hooks(self.hooks, gradient),)

    def release(self) -> None:
        """Hooks stay."""

    def again(self) -> HookCut:
        """The same hooks for another place of the graph."""
        return HookCut(self.hooks)


class FlatCut(HookCut):
    """Those of a tensor at the elements of its memory, from which its views are made, too."""

    def __init__(self, hooks: dict[int, Any], shape: tuple[int, ...]) -> None:
        super().__init__(hooks)
        self.shape = shape

    def run(self, gradient: Any, cut: Cut) -> tuple[Any, ...]:
        shown = run_hooks(self.hooks, gradient.reshape(self.shape))
        return (shown.reshape(gradient.shape),)

    def again(self) -> HookCut:
        return FlatCut(self.hooks, self.shape)


def _memory_of(tensor: Any, origin: Any) -> Any:
    """The memory of a tensor that others are views of, as a value of the program that wrote it
    last, where that is all that the tensor shows; None elsewhere.
    """
    family, meta = tensor._family, tensor._meta
    if family is None or family.frame is None or family.source is None:
        return None
    if origin is None:
        known = tensor._rec is not recorder.LOCAL.rec
    else:
        known = family.frame is origin[0] and not origin[2] and shows(origin[1], family.source)
    whole = family.source.shape == (meta.numel,) and tensor.is_contiguous()
    return family.source if known and whole and family.is_first(tensor) else None


def mark_cut(tensor: Any, inputs: Any, code: Any) -> None:
    """Makes Python code part of the graph at a tensor."""
    recorder.advance_key(
        lambda r, s: (
            MARK_CUT,
            recorder.operand_key(r, tensor, s),
            None
            if inputs is None
            else tuple(None if t is None else recorder.operand_key(r, t, s) for t in inputs),
        ),
        (code,),
    )


def cut_at(tensor: Any, cut: HookCut) -> int | None:
    """Puts hooks at a tensor, in the recording and in the program that made it. How often its
    memory was written in the recording by then; None where the tensor has run before.
    """
    tensor._cut = cut
    recorder.settle_elsewhere(tensor)  # what another thread has recorded gets no more events here
    storage = tensor._storage
    elsewhere = tensor._rec is not recorder.LOCAL.rec and storage is not None
    if elsewhere and recorder.pending_writes(storage):  # through views: they come first
        recorder.flush()
    origin = tensor._origin
    seen = tensor._frames or ()
    trace = recorder.pending_trace(tensor) if origin is not None or seen else None
    rec = recorder.LOCAL.rec
    if trace is not None:
        group = trace.tensors[tensor._num].group
        if group.leaf is None and not trace.unchanged(group):
            origin, seen = None, ()  # overwritten since: a new tensor for autograd
    source = _memory_of(tensor, origin)
    if source is not None:
        tensor._family.frame.add_cut(source, FlatCut(cut.hooks, tuple(tensor._meta.shape)))
        if origin is None:
            tensor._cut = None  # it stands where each later program begins
        return None
    if origin is not None:
        origin[0].add_cut(origin[1], cut.again())
        if origin[2]:
            return None
        _cut_where_seen(tensor, cut, seen)
        if tensor._rec is recorder.LOCAL.rec and not passes_origin(tensor):
            mark_cut(tensor, None, cut)
        return None
    try:
        _, state, _ = recorder.advance_key(lambda r, s: _hook_key(r, tensor, rec, s), (cut,))
    except _Ran:
        return cut_at(tensor, cut)
    _cut_where_seen(tensor, cut, seen)
    return int(state.extra)


def _cut_where_seen(tensor: Any, cut: HookCut, seen: Any) -> None:
    """Puts hooks at a view in the programs that it has entered: their passes do not go through the
    one that made it, but on to what it is a view of.
    """
    family = tensor._family
    for reference, value, changes in seen:
        frame = reference()
        if frame is not None and family is not None and family.changes == changes:
            frame.add_cut(value, cut.again())


class _Ran(Exception):
    """The recording that made the tensor has run in the meantime."""


def _hook_key(rec: Any, tensor: Any, before: Any, scalars: list[Any]) -> Any:
    if rec is not before and tensor._origin is not None:
        raise _Ran
    return MARK_CUT, recorder.operand_key(rec, tensor, scalars), None


class RemovableHandle:
    """Removes a hook: `handle.remove()`; as a context manager, at the end of its block."""

    _next = 0

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks = hooks
        self.id = RemovableHandle._next
        RemovableHandle._next += 1

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


def _written(tensor: Any, here: int | None) -> int:
    """How often autograd has seen the memory of a tensor written; `here`: in this recording, where
    that is known.
    """
    storage = tensor._storage
    if storage is None:
        return here or 0
    pending = recorder.pending_writes(storage) if here is None else here
    return int(storage.version - storage.silent + pending)


def _written_since(tensor: Any) -> bool:
    """Whether a tensor with hooks was written through one of its views since they were registered:
    they stay where they are, and new ones stand behind the write. (What is written to the tensor
    itself takes them from it at once, and hooks of a view stay with it.)
    """
    if tensor.is_leaf or tensor._hooked_at is None:
        return False
    recorder.settle_elsewhere(tensor)  # (what another thread has written to it counts)
    trace = recorder.pending_trace(tensor)
    if trace is not None:
        known = trace.tensors[tensor._num]
        first, now = trace.is_base(known), _written(tensor, known.storage.counted)
    else:
        family = tensor._family
        first, now = family is None or family.is_first(tensor), _written(tensor, None)
    return bool(first) and tensor._hooked_at != now


def register_hook(tensor: Any, hook: Any) -> RemovableHandle:
    """See Tensor.register_hook."""
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tensor._hooks is None or _written_since(tensor):
        tensor._hooks = {}
        if not tensor.is_leaf:
            tensor._hooked_at = _written(tensor, cut_at(tensor, HookCut(tensor._hooks)))
    handle = RemovableHandle(tensor._hooks)
    tensor._hooks[handle.id] = hook
    return handle


class _PostHandle(RemovableHandle):
    """Removes a hook behind the accumulation; the last one takes its mark along."""

    def __init__(self, tensor: Any, hooks: dict[int, Any]) -> None:
        super().__init__(hooks)
        self.marked = tensor._hooks

    def remove(self) -> None:
        super().remove()
        if not self.hooks:
            self.marked.pop(_POST_MARK, None)


_POST_MARK = -1  # among a leaf's hooks: there are some behind the accumulation


def _unchanged(gradient: Any) -> None:
    """A hook that leaves the gradient as it is."""


def register_post_accumulate_grad_hook(tensor: Any, hook: Any) -> RemovableHandle:
    """See Tensor.register_post_accumulate_grad_hook."""
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not tensor.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if tensor._hooks is None:
        tensor._hooks = {}
    tensor._hooks[_POST_MARK] = _unchanged
    hooks = tensor.__dict__.setdefault("_post_accumulate_hooks", {})
    handle = _PostHandle(tensor, hooks)
    hooks[handle.id] = hook
    return handle


def register_accumulation_hook(leaf: Any, hook: Any) -> RemovableHandle:
    """Calls hook((), (gradient,)) behind the accumulation of a gradient into a leaf."""
    last: list[Any] = []

    def keep(gradient: Any) -> None:
        last[:] = [gradient]

    def call(_: Any) -> None:
        if hook((), (last[0],)) is not None:
            raise RuntimeError("hook of AccumulateGrad has no gradient to replace")

    kept = register_hook(leaf, keep)
    handle = register_post_accumulate_grad_hook(leaf, call)
    return _BothHandles(handle, kept)


class _BothHandles(RemovableHandle):
    """Removes a hook that stands in two places."""

    def __init__(self, first: RemovableHandle, second: RemovableHandle) -> None:
        super().__init__(first.hooks)
        self.id, self.first, self.second = first.id, first, second

    def remove(self) -> None:
        self.first.remove()
        self.second.remove()


def retain_grad(tensor: Any) -> None:
    """See Tensor.retain_grad."""
    if not tensor.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if tensor.is_leaf or tensor.__dict__.get("_retains_grad"):
        return
    tensor._retains_grad = True
    RETAINING.append(weakref.ref(tensor))


# Tensors that keep their gradients though they are no leaves. A pass captures what arrives at the
# values that they have then: so the latest one where a tensor was written in place.
RETAINING: list[weakref.ref[Any]] = []


def retaining(roots: Sequence[Any]) -> tuple[Any, ...]:
    """The tensors that keep their gradients and that a pass from these roots may reach."""
    found = [(reference, reference()) for reference in RETAINING.copy()]
    for reference, tensor in found:
        if tensor is None:
            with contextlib.suppress(ValueError):  # another thread has just done so
                RETAINING.remove(reference)
    tensors = [tensor for _, tensor in found if tensor is not None]
    for root in roots:  # the history of what has run is known
        recorder.settle_elsewhere(root)
    return _near(roots, [t for t in tensors if t._meta.requires_grad and not t._meta.is_leaf])


def _near(roots: Sequence[Any], tensors: list[Any]) -> tuple[Any, ...]:
    """Those of the tensors that stand in the recording under way, or in an earlier program that the
    roots lead to: what has nothing to do with a pass must not enter it.
    """
    rec = recorder.LOCAL.rec
    if any(root._rec is not rec and root._storage is None for root in roots):
        return tuple(tensors)  # another thread's, and it has not run
    here = any(root._rec is rec for root in roots)
    frames = [frame for frame, _ in rec.frames] if here else []
    for root in roots:
        frames += _frames_of(root)
    frames = frames_before(frames)
    reached = {id(frame) for frame in frames}
    entered = {id(reference()) for frame in frames for reference, _, _ in frame.views}
    return tuple(
        t
        for t in tensors
        if (here and (t._rec is rec or t.__dict__.get("_entered", (None,))[0] is rec))
        or id(t) in entered
        or any(id(frame) in reached for frame in _frames_of(t))
    )


def _frames_of(tensor: Any) -> list[Any]:
    """The earlier programs in which a tensor has its history."""
    family, origin = tensor._family, tensor._origin
    frames = [] if family is None else [family.frame]
    if origin is not None:
        frames.append(origin[0])
    return [frame for frame in frames if frame is not None]


def keep_gradients(tensors: Sequence[Any], reached: Sequence[bool], gradients: list[Any]) -> None:
    """Gives or adds gradients to the `.grad` of the tensors that were reached."""
    fresh = iter(gradients)
    for tensor, arrived in zip(tensors, reached, strict=True):
        if arrived:
            add_gradient(tensor, next(fresh))


_giving = threading.Lock()  # nothing is called under it


def _after_fork() -> None:
    """The thread that held the lock does not exist in the child."""
    global _giving
    _giving = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def replace_gradient(tensor: Any, old: Any, new: Any) -> Any:
    """Gives a tensor the gradient `new` where it has `old`; what it has had. No other thread comes
    in between.
    """
    with _giving:
        have = tensor._grad
        if have is old:
            tensor._grad = new
        return have


def add_gradient(tensor: Any, gradient: Any) -> None:
    """Gives a tensor its gradient plus another one, out of place."""
    old, total = None, gradient
    while True:
        have = replace_gradient(tensor, old, total)
        if have is old:
            return
        old, total = have, gradient if have is None else have + gradient
