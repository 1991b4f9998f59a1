"""Custom derivatives: `autograd.Function`, whose backward is the user's Python code."""

from __future__ import annotations

import inspect
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.core.shapes import contiguous_strides, overlaps_itself
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.chain import Cut
from flambeau.record.events import Event
from flambeau.record.records import FunctionRecord
from flambeau.record.restricted import FUNCTION as IN_FUNCTION
from flambeau.record.restricted import OWN, SEVERAL, refusal
from flambeau.record.saved import FREED, overwritten
from flambeau.record.trace import Trace
from flambeau.tensor import overriding
from flambeau.tensor.tensor import Tensor


class FunctionOp(Event):
    """Outputs of a custom function join its inputs' graph.

    key = (op, outputs, inputs, saved, (name, which outputs are written inputs)). The outputs' data
    are one flat value, the cut of the graph; the new tensors are its pieces, so that the user's
    backward runs once, when the cotangents of all of them are known. An input that was written in
    place takes its piece as a write. `saved` are numbers of tensors, or (place,) of an output.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        _, outputs, operands, saved, (name, dirty) = key
        values = [_plain(trace.tracked_value(n)) for n in outputs]
        inputs = tuple(None if n is None else trace.tracked_value(n) for n in operands)
        flats = [view.reshape(v, shape=(v.size,)) for v in values]
        joined = flats[0] if len(flats) == 1 else view.concat(*flats, axis=0)
        joined = source.history(joined, -1, joined)
        trace.cuts.append((joined, inputs))
        start, pieces, numbers = 0, [], []
        for number, value, written in zip(outputs, values, dirty, strict=True):
            piece = view.slice_(joined, starts=(start,), sizes=(value.size,), steps=(1,))
            start += value.size
            pieces.append(piece)
            shaped = view.reshape(piece, shape=value.shape)
            if written:
                trace.write(number, shaped, grad_name=name)
                numbers.append(number)
            else:
                shared = any(
                    n is not None and trace.tensors[n].storage is trace.tensors[number].storage
                    for n in operands
                )
                numbers.append(_output(trace, number, shaped, name, shared, len(outputs) > 1))
                trace.tensors[-1].output = len(numbers) - 1
        kept = [numbers[n[0]] if isinstance(n, tuple) else n for n in saved]
        versions = tuple((n, trace.tensors[n].storage.counted) for n in kept)
        trace.functions[joined] = FunctionRecord(tuple(pieces), versions)


def _output(trace: Trace, number: int, value: Value, name: str, shared: bool, several: bool) -> int:
    """A new tensor for the output that forward has made as tensor `number`, with its history in
    `value`: over the same memory where an input shares it.
    """
    record = trace.tensors[number]
    born = None
    if shared or record.output >= 0:
        born = (SEVERAL if several else IN_FUNCTION) + ("" if shared else OWN)
    shape, strides, _ = record.layout
    if not shared or overlaps_itself(shape, strides):
        made = trace.new_tensor(value, strides=contiguous_strides(value.shape), grad_name=name)
        made.meta = made.meta.replaced(born=born)
        return made.number
    return trace.new_alias(record, value, name, born).number


def _plain(value: Value) -> Value:
    return source.detach(value) if value.tracked else value


FUNCTION = FunctionOp("function")


class FunctionCut:
    """Runs a function's backward when a pass arrives at its outputs."""

    def __init__(
        self,
        function: type[Function],
        context: FunctionCtx,
        outputs: list[Any],
        places: list[int],
        needed: list[Any],
    ) -> None:
        self.function = function
        self.context = context
        self.outputs = outputs  # (whether differentiable, shape, dtype), None where no tensor
        self.places = places  # the argument positions of the tensor inputs
        self.needed = needed
        self.watched: list[Any] = []  # (storage, version, meta) of what was saved, after a flush
        self.stale: str | None = None

    @property
    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def watch(self, handles: list[Any], stale: str | None, function: FunctionRecord) -> None:
        """The recording has run: from now on the storages' own versions count."""
        self.stale = stale
        for number, _ in function.saved:
            tensor = handles[number]
            if tensor._storage is not None:
                storage = tensor._storage
                self.watched.append((storage, storage.version - storage.silent, tensor._meta))

    def check(self, cut: Cut) -> str | None:
        """What to say where something saved was overwritten since."""
        for storage, version, meta in self.watched:
            now = storage.version - storage.silent
            if now != version:
                name = meta.grad_name or ""
                return overwritten(name, meta.dtype, meta.shape, now, version)
        return cut.stale or self.stale

    def release(self) -> None:
        """What was saved is not needed any more: the pass has not kept the graph."""
        self.context._freed = True

    def run(self, gradient: Any, cut: Cut) -> tuple[Any, ...]:
        context = self.context
        context._stale = self.check(cut)
        given = _backward_of(self.function)(context, *self._pieces(gradient, cut.reached))
        given = given if isinstance(given, tuple) else (given,)
        count = context._count
        if len(given) > count and all(part is None for part in given[count:]):
            given = given[:count]
        if len(given) != count:
            raise RuntimeError(
                f"function {self.name} returned an incorrect number of gradients (expected "
                f"{count}, got {len(given)})"
            )
        tensors = dict(zip(self.places, self.needed, strict=True))
        for place, part in enumerate(given):
            if part is not None and place not in tensors:
                raise RuntimeError(
                    f"function {self.name} returned a gradient different than None at position "
                    f"{place + 1}, but the corresponding forward input was not a Variable"
                )
        return tuple(self._fitted(given[place], place, t) for place, t in tensors.items())

    def _pieces(self, gradient: Any, reached: tuple[bool, ...]) -> list[Any]:
        """The cotangent of each output, from that of all of them together."""
        from flambeau.functional.creation import zeros

        pieces: list[Any] = []
        start, at = 0, 0
        for output in self.outputs:
            if output is None:
                pieces.append(None)
                continue
            differentiable, shape, dtype = output
            if not differentiable:
                wanted = self.context._materialize
                pieces.append(zeros(shape, dtype=dtype) if wanted else None)
                continue
            count = shape.numel()
            known = reached[at] if reached else True
            if known or self.context._materialize:
                pieces.append(gradient.narrow(0, start, count).reshape(shape))
            else:
                pieces.append(None)
            start, at = start + count, at + 1
        return pieces

    def _fitted(self, result: Any, place: int, tensor: Any) -> Any:
        if result is None or not tensor.requires_grad:
            return None
        if not isinstance(result, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(result).__name__})")
        shape = tensor.shape
        if result.shape != shape:
            small = (1,) * (result.ndim - len(shape)) + tuple(shape)
            fits = len(small) == result.ndim and all(
                n in (1, m) for n, m in zip(small, result.shape, strict=True)
            )
            if not fits:
                raise RuntimeError(
                    f"Function {self.name} returned an invalid gradient at index {place} - got "
                    f"{list(result.shape)} but expected shape compatible with {list(shape)}"
                )
            summed = [d for d, (n, m) in enumerate(zip(small, result.shape, strict=True)) if n != m]
            result = result.sum(summed, keepdim=True) if summed else result
            result = result.reshape(tuple(shape))
        return result if result.dtype is tensor.dtype else result.to(tensor.dtype)


class FunctionCtx:
    """What forward hands to backward."""

    def __init__(self, count: int, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._count = count
        self._saved: tuple[Any, ...] = ()
        self._packed: list[Any] = []  # within saved_tensors_hooks, with
        self._unpack: Any = None
        self._nondifferentiable: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._materialize = True
        self._freed = False
        self._stale: str | None = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for `saved_tensors` in backward; None is kept as None."""
        hooks = next((m for m in overriding.LOCAL.modes[::-1] if hasattr(m, "unpack_hook")), None)
        if hooks is None:
            self._saved = tensors
            return
        self._packed = [None if t is None else hooks.pack_hook(t) for t in tensors]
        self._unpack = hooks.unpack_hook

    def save_for_forward(self, *tensors: Any) -> None:
        raise NotImplementedError(
            "forward-mode derivatives of autograd.Function are not supported yet"
        )

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward was given. RuntimeError where that was freed or overwritten."""
        if self._freed and (self._saved or self._packed):
            raise RuntimeError(FREED)
        if self._stale is not None:
            raise RuntimeError(self._stale)
        if self._unpack is not None:
            return tuple(None if kept is None else self._unpack(kept) for kept in self._packed)
        return self._saved

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Says which outputs carry no gradient."""
        self._nondifferentiable = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Says which inputs forward has written in place; it must return them."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (else None) for outputs that nothing was made from."""
        self._materialize = bool(value)


class Function:
    """A differentiable function with its own backward: subclass it, call `apply`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the outputs: forward(ctx, *args), or forward(*args) with `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Saves what backward needs, for the two-part form."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the inputs from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and, where an input requires a gradient, makes it part of the graph."""
        two_part = cls.setup_context is not Function.setup_context
        if kwargs:
            given = args if two_part else (None, *args)
            bound = inspect.signature(cls.forward).bind(*given, **kwargs)
            bound.apply_defaults()
            args = bound.args if two_part else bound.args[1:]
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        ctx = FunctionCtx(len(args), needs)
        with no_grad():
            if two_part:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        _check(ctx, output)
        if not (recorder.LOCAL.grad_mode and any(needs)):
            return _unjoined(output, args, ctx)
        return cls._join(ctx, args, output)

    @classmethod
    def _join(cls, ctx: FunctionCtx, args: tuple[Any, ...], output: Any) -> Any:
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        plain = {id(t) for t in ctx._nondifferentiable}
        dirty = {id(t) for t in ctx._dirty}
        chosen = [o for o in outputs if _differentiable(o) and id(o) not in plain]
        if not chosen:
            return output
        for o in chosen:
            if id(o) in dirty:
                _check_dirty(o, outputs)
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and not _constant(a)]
        tensors = [args[i] for i in places]
        order = {id(o): n for n, o in enumerate(chosen)}
        described = [
            (id(o) in order, o.shape, o.dtype) if isinstance(o, Tensor) else None for o in outputs
        ]
        cut = FunctionCut(cls, ctx, described, places, tensors)
        written = tuple(id(o) in dirty for o in chosen)
        replaced = _record(cut, chosen, tensors, written, order, args)
        final = [replaced.get(id(o), o) for o in outputs]
        ctx._saved = tuple(replaced.get(id(t), t) for t in ctx._saved)
        if not isinstance(output, (tuple, list)):
            return final[0]
        return type(output)(final) if isinstance(output, list) else tuple(final)


def _unjoined(output: Any, args: tuple[Any, ...], ctx: FunctionCtx) -> Any:
    """What apply returns outside the graph: an input that is returned as it is, as an alias."""
    as_they_are = {id(a) for a in args} - {id(t) for t in ctx._dirty}
    if not isinstance(output, (tuple, list)):
        same = isinstance(output, Tensor) and id(output) in as_they_are
        return recorder.detach(output) if same else output
    parts = [_unjoined(o, args, ctx) if isinstance(o, Tensor) else o for o in output]
    return type(output)(parts) if type(output) in (tuple, list) else output


def _check_dirty(output: Any, outputs: list[Any]) -> None:
    """RuntimeError where autograd cannot make an input that was written in place its output."""
    meta = output._meta
    if meta.requires_grad and meta.is_leaf:
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation."
        )
    if meta.born is not None and meta.requires_grad:
        raise RuntimeError(refusal(meta, output._output, indirect=False))
    if sum(isinstance(o, Tensor) for o in outputs) > 1 and output._is_view():
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your "
            "Function cannot return more than one Tensor. This is not supported by the current "
            "autograd engine. You should either make sure the input is not a view (using .clone() "
            "for example) or make your Function only return one Tensor (potentially splitting it "
            "into two Functions: one doing the inplace that returns a single Tensor and a second "
            "one that does the other operations). You can ask on the forum "
            "https://discuss.pytorch.org/ if you need help to do this change."
        )


def _differentiable(output: Any) -> bool:
    return isinstance(output, Tensor) and (
        output.dtype.is_floating_point or output.dtype.is_complex
    )


def _stored(tensor: Any) -> Any:
    """What holds a tensor's numbers: of a sparse tensor its values, else the tensor itself."""
    return getattr(tensor, "_entries", tensor)


def _constant(argument: Any) -> bool:
    """Whether a tensor given to apply stays out of the graph: a sparse one without a gradient."""
    return _stored(argument) is not argument and not argument.requires_grad


def _check(ctx: FunctionCtx, output: Any) -> None:
    for place, saved in enumerate(ctx._saved):
        if saved is not None and not isinstance(saved, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {place} is of type "
                f"{type(saved).__name__}"
            )
    returned = {id(o) for o in (output if isinstance(output, (tuple, list)) else (output,))}
    if any(id(t) not in returned for t in ctx._dirty):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function."
        )


def _backward_of(function: type[Function]) -> Any:
    own_vjp = function.vjp is not Function.vjp
    if own_vjp and function.backward is not Function.backward:
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            "should only implement one of them."
        )
    return function.vjp if own_vjp else function.backward


def _record(
    cut: FunctionCut,
    chosen: list[Any],
    inputs: list[Any],
    written: tuple[bool, ...],
    order: dict[int, int],
    args: tuple[Any, ...],
) -> dict[int, Any]:
    """Records the event; what stands for each output from now on, by the output's id."""

    def key(rec: Any, scalars: list[Any]) -> Any:
        numbers = [recorder.operand_key(rec, part, scalars) for part in (chosen, inputs)]
        saved = tuple(
            (order[id(t)],) if id(t) in order else recorder.operand_key(rec, _stored(t), scalars)
            for t in cut.context._saved
            if t is not None
        )
        return FUNCTION, *numbers, saved, (cut.name, written)

    shown = [
        t._storage
        for t, in_place in zip(chosen, written, strict=True)
        if in_place and t._storage is not None and t._storage.exposed and t._storage.still_exposed()
    ]
    if shown:
        made = recorder.write_exposed(shown, lambda: recorder.advance_key(key, (cut,)))
    else:
        made = recorder.advance_key(key, (cut,))
    rec, _, handles = made
    joined = iter(handles)
    given = {id(a) for a in args}
    replaced = {}
    for output, in_place in zip(chosen, written, strict=True):
        new = output if in_place else next(joined)
        if not in_place and output._storage is None and output._rec is rec:
            new = output if id(output) not in given and _became(rec, output, new) else new
        replaced[id(output)] = new
    return replaced


def _became(rec: Any, output: Any, new: Any) -> bool:
    """Makes an object that forward has made the new tensor itself, wherever else it is held."""
    if rec is not recorder.LOCAL.rec or rec.handles[output._num] is not output:
        return False
    rec.handles[output._num] = recorder.alias(output, output._meta, 0)
    rec.handles[new._num] = output
    output._meta, output._num = new._meta, new._num
    return True


def once_differentiable(function: Any) -> Any:
    """Marks a backward that is not differentiable itself: it runs without recording."""
    import functools

    @functools.wraps(function)
    def wrapped(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            return function(ctx, *gradients)

    return wrapped


class InplaceFunction(Function):
    """A Function with an attribute `inplace`; PyTorch keeps it for old programs."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
