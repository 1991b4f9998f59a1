"""`compile`: a function's whole body as one program, without running the body again.

The first calls record the body as always. When two calls in a row have taken the same path (same
state of the tree, same scalars, same tensors captured), the call is kept: from then on, arguments
of the same metadata run its plan at once. What the body did outside the recording is known and done
again: gradients given to parameters, optimizer steps counted. Everything else the body did in
Python (printing, appending to a list) does not happen again, as under `torch.compile`.

A kept call is left, and the body recorded again, as soon as something it rests on has changed: a
captured tensor was replaced or its metadata changed, a module was edited or switched between train
and eval, grad mode, or anything else that the body may read (`record/guarding.py`): variables,
attributes of objects, what is in dictionaries and lists. A body that changes such things itself, or
reads what cannot be looked into (iterators, random numbers of Python's), is never kept: it runs.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from flambeau.record import recorder, words
from flambeau.record.changes import CHANGES
from flambeau.record.facts import PATIENCE, Facts
from flambeau.record.guarding import Survey
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL, Recording
from flambeau.record.words import Pairs
from flambeau.tensor.kept_calls import MISS, PLAIN, Capture, Kept, template
from flambeau.tensor.tensor import Tensor

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_stance",
]  # fmt: skip

# What `mode` and `backend` may be; there is one compiler, which does all it can.
MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
BACKENDS = frozenset(
    (
        "aot_eager aot_eager_decomp_partition aot_eager_default_partitioner aot_ts cudagraphs "
        "eager eager_debug eager_noexcept inductor onnxrt openxla openxla_eval tensorrt ts tvm "
        "torch_tensorrt"
    ).split()
)
SIGNED = (Tensor, tuple, list, dict, *PLAIN)  # arguments whose content is part of the key


def signature(value: Any, tensors: list[Tensor]) -> Any:
    """An argument as part of a key; its tensors are collected."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value._meta
    kind = type(value)
    if kind in (tuple, list):
        return (kind, *[signature(part, tensors) for part in value])
    if kind is dict:
        return (kind, *[(name, signature(part, tensors)) for name, part in value.items()])
    if isinstance(value, float):
        return kind, value.hex()
    if isinstance(value, PLAIN):
        return kind, value
    return kind, id(value)


class Named:
    """What a function reads from its closure and from globals (a statement of `facts`)."""

    def __init__(self, names: tuple[tuple[Any, ...], tuple[str, ...], dict[str, Any]]) -> None:
        cells, names_of_globals, space = names
        self.cells = [(cell, cell.cell_contents) for cell in cells]
        self.globals = [(name, space.get(name, MISS)) for name in names_of_globals]
        self.space = space

    def look(self) -> bool:
        cells = all(cell.cell_contents is value for cell, value in self.cells)
        return cells and all(self.space.get(name, MISS) is value for name, value in self.globals)

    def pairs(self) -> Pairs:
        found: Pairs = []
        for cell, value in self.cells:
            found += words.content(cell, value)
        for name, value in self.globals:
            found += words.item(self.space, name, value)
        return found


class Quick:
    """A call of tensors and nothing else: what tells that the next is the same once more."""

    __slots__ = ("autocast", "facts", "grad_mode", "kept", "metas")

    def __init__(
        self, grad_mode: Any, autocast: Any, metas: list[Any], kept: Kept, names: Any
    ) -> None:
        self.grad_mode = grad_mode
        self.autocast = autocast
        self.metas = metas
        self.kept = kept
        self.facts = Facts([Named(names)]) if names[0] or names[1] else None


class Compiled:
    """A compiled function: `calls` counts, per argument metadata, the calls recorded and kept."""

    LIMIT = 64  # argument metadata kept per function

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.kept: dict[Any, Kept] = {}
        self.seen: dict[Any, Any] = {}
        self.names = _watched(function)
        self.plain = not (self.names[0] or self.names[1])
        self.quick: Quick | None = None
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        quick = self.quick
        if quick is not None and not kwargs:  # the call before once more?
            local = LOCAL
            last = quick.kept
            ready = last.ready
            if (
                local.rec.state.parent is None
                and local.grad_mode is quick.grad_mode
                and local.autocast is quick.autocast
                and local.capture is None
                and ready is not None
                and last.changes == CHANGES.count
                and not OPTIONS.sync
                and len(args) == len(quick.metas)
                and (quick.facts is None or quick.facts.hold())
            ):
                for value, meta in zip(args, quick.metas):
                    if value.__class__ is not Tensor or value._meta is not meta:
                        break
                else:
                    result = ready.run(args)
                    if result is not MISS:
                        return result
        rec = LOCAL.rec
        if rec.state.ended:
            recorder.flush()
            rec = LOCAL.rec
        if (
            rec.state.parent is not None
            or OPTIONS.sync
            or getattr(LOCAL, "capture", None) is not None
        ):
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        parts: list[Any] = []
        for value in args:
            if value.__class__ is Tensor:
                tensors.append(value)
                parts.append(value._meta)
            else:
                parts.append(signature(value, tensors))
        key: Any = (
            LOCAL.grad_mode,
            LOCAL.autocast,
            None if self.plain else self.watched(),
            tuple(parts),
            signature(kwargs, tensors) if kwargs else None,
        )
        kept = self.kept.get(key)
        if kept is not None:
            result = kept.run(tensors)
            if result is not MISS:
                if not kwargs and all(value.__class__ is Tensor for value in args):
                    self.quick = self.quickly(key, parts, kept)
                return result
            self.quick = None
            self.kept.pop(key, None)  # another thread may have done so
            self.seen.pop(key, None)
        return self.record(key, tensors, args, kwargs)

    def quickly(self, key: Any, metas: list[Any], kept: Kept) -> Quick | None:
        """How to know a kept call quickly; None where that has not been worth it."""
        quick: Quick | None = kept.quick
        if quick is None or (quick.facts is not None and not quick.facts.hold()):
            if kept.quicks > PATIENCE:
                return None
            kept.quicks += 1
            quick = kept.quick = Quick(key[0], key[1], metas, kept, self.names)
        return quick

    def watched(self) -> Any:
        """The plain values that the function reads from globals and closures."""
        cells, names, values = self.names
        if not cells and not names:
            return None
        found = [cell.cell_contents for cell in cells]
        found += [values.get(name) for name in names]
        return tuple([(type(v), v) if isinstance(v, PLAIN) else id(v) for v in found])

    def record(self, key: Any, tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        """Runs the body; keeps the call when it has gone the way of the call before."""
        rec = LOCAL.rec
        survey = None
        if key in self.seen:
            parts = [*args, *kwargs.values()]
            survey = Survey(self.function, [v for v in parts if not isinstance(v, SIGNED)])
        capture = LOCAL.capture = Capture()
        try:
            result = self.function(*args, **kwargs)
        finally:
            LOCAL.capture = None
        if LOCAL.rec is not rec or rec.state.parent is None or rec.frames or rec.cuts:
            self.seen.pop(key, None)
            return result
        state, handles, bases, scalars = rec.state, rec.handles, list(rec.bases), list(rec.scalars)
        own = {
            position
            for update in capture.updates
            for position in range(
                update.scalar, update.scalar + len(update.optimizer._changing(update.group, 2))
            )
        }
        fixed = tuple((type(s), s) for i, s in enumerate(scalars) if i not in own)
        mark = (state, fixed)
        # (A body that changes what it reads is not kept: it has more to do than its program.)
        sound = survey is not None and survey.complete and survey.look()
        if survey is not None and sound and self.seen.get(key) == mark and self.room():
            made = rec, state, handles, bases, scalars, capture
            kept = self.keep(*made, result, tensors, survey)
            if kept is not None:
                self.kept[key] = kept
        self.seen[key] = mark
        return result

    def room(self) -> bool:
        """Whether another call may be kept."""
        return len(self.kept) < self.LIMIT

    def keep(
        self,
        rec: Recording,
        state: Any,
        handles: list[Any],
        bases: list[Any],
        scalars: list[Any],
        capture: Capture,
        result: Any,
        tensors: list[Tensor],
        survey: Survey,
    ) -> Kept | None:
        """The call as it can run again, or None where it cannot."""
        numbers = {id(handle): number for number, handle in enumerate(handles)}
        shape = template(result, numbers, tensors)
        gradients = [
            (leaf, numbers[id(leaf._grad)])
            for leaf in handles
            if leaf._meta.is_leaf
            and leaf._meta.requires_grad
            and leaf._storage is not None
            and leaf._grad is not None
            and id(leaf._grad) in numbers
            and leaf._grad._storage is None
        ]
        sources = _sources(handles, bases, tensors)
        expected = [(leaf, None) for leaf, _ in gradients if id(leaf) not in capture.cleared]
        expected += [
            (leaf, leaf._grad)
            for leaf in handles
            if leaf._storage is not None
            and leaf._meta.is_leaf
            and leaf._grad is not None
            and leaf._grad._storage is not None
            and id(leaf._grad) in numbers
        ]
        recorder.flush()
        plan = rec.plan
        if shape is MISS or sources is None or plan is None:
            return None
        if any(index < 0 for _, index, _, _ in plan.live):
            return None  # a result that is a view of an argument or a parameter
        live = {number for number, *_ in plan.live}
        if any(number not in live for _, number in gradients):
            return None
        plan.asked = True
        return Kept(plan, state, sources, scalars, capture, shape, gradients, expected, survey)


def _sources(
    handles: list[Any], bases: list[Any], tensors: list[Tensor]
) -> list[tuple[int, Any, int]] | None:
    """Where each base comes from: an argument, or a tensor captured by the body."""
    by_storage: dict[tuple[int, int], Any] = {}
    for handle in handles:
        if handle._storage is not None:
            by_storage.setdefault(
                (id(handle._storage), handle._offset * handle._meta.dtype.itemsize), handle
            )
    sources: list[tuple[int, Any, int]] = []
    for storage, offset in bases:
        handle = by_storage.get((id(storage), offset))
        if handle is None:
            return None
        place = next((i for i, tensor in enumerate(tensors) if tensor is handle), -1)
        sources.append((place, None, 0) if place >= 0 else (-1, handle, offset))
    return sources


def _watched(function: Any) -> tuple[tuple[Any, ...], tuple[str, ...], dict[str, Any]]:
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return (), (), {}
    cells = tuple(function.__closure__ or ())
    names = tuple(n for n in code.co_names if n in function.__globals__)
    return cells, names, function.__globals__


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """A function (or module) that skips its Python body when called with arguments of known
    metadata.

    On a module the result is the module itself: its calls are recognised as they are, and belong to
    the step around them. Use it on the function of a whole training step for the full effect.
    """
    if model is None:
        return lambda function: compile(
            function,
            fullgraph=fullgraph,
            dynamic=dynamic,
            backend=backend,
            mode=mode,
            options=options,
            disable=disable,
        )
    if mode is not None and mode not in MODES:
        raise RuntimeError(
            f"Unrecognized mode={mode}, should be one of: default, {', '.join(MODES[1:])}"
        )
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if isinstance(backend, str) and backend not in BACKENDS:
        raise RuntimeError(
            f"Invalid backend: '{backend}', see `torch._dynamo.list_backends()` for available "
            "backends."
        )
    if disable or not callable(model):
        return model
    if hasattr(model, "_parameters") and hasattr(model, "_modules"):
        return model
    return Compiled(model)


def disable(function: Any = None, recursive: bool = True) -> Any:
    """Accepted: the function runs as it is."""
    return function if function is not None else (lambda f: f)


def reset() -> None:
    """Accepted: kept calls notice by themselves when they no longer hold."""


def is_compiling() -> bool:
    """False: bodies run in Python while they are recorded."""
    return False


def assume_constant_result(fn: Any) -> Any:
    """The function itself: what it gives is recorded like everything else."""
    return fn


allow_in_graph = assume_constant_result


def is_dynamo_compiling() -> bool:
    """False, as is_compiling."""
    return False


def is_exporting() -> bool:
    """False: nothing is exported."""
    return False


def cudagraph_mark_step_begin() -> None:
    """Accepted: there are no CUDA graphs."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The names that `backend` is usually given; there is one compiler."""
    return ["inductor"]


def set_stance(stance: str = "default", **options: Any) -> Any:
    """Accepted: a context manager that changes nothing."""
    return contextlib.nullcontext()
