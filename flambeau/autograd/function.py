"""Custom derivatives: `autograd.Function`, whose backward is the user's Python code."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.core.shapes import contiguous_strides
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.events import Event
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor


class FunctionOp(Event):
    """Outputs of a custom function join its inputs' graph: key = (op, outputs, inputs, (name,)).

    The outputs' data are one flat value, the cut of the graph; the new tensors are its pieces, so
    that the user's backward runs once, when the cotangents of all of them are known.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        values = [_plain(trace.tracked_value(n)) for n in key[1]]
        inputs = tuple(None if n is None else trace.tracked_value(n) for n in key[2])
        flats = [view.reshape(v, shape=(v.size,)) for v in values]
        joined = flats[0] if len(flats) == 1 else view.concat(*flats, axis=0)
        joined = source.history(joined, -1, joined)
        trace.cuts.append((joined, inputs))
        start = 0
        for value in values:
            piece = view.slice_(joined, starts=(start,), sizes=(value.size,), steps=(1,))
            start += value.size
            trace.new_tensor(
                view.reshape(piece, shape=value.shape),
                strides=contiguous_strides(value.shape),
                grad_name=key[3][0],
            )


def _plain(value: Value) -> Value:
    return source.detach(value) if value.tracked else value


FUNCTION = FunctionOp("function")


class FunctionCut:
    """Runs a function's backward when a pass arrives at its outputs."""

    def __init__(
        self,
        function: type[Function],
        context: Any,
        shapes: list[Any],
        places: list[int],
        needed: list[Any],
    ) -> None:
        self.function = function
        self.context = context
        self.shapes = shapes  # of each output; None where it is not differentiable
        self.places = places  # the argument positions of the tensor inputs
        self.needed = needed

    def run(self, gradient: Any) -> tuple[Any, ...]:
        pieces: list[Any] = []
        start = 0
        for shape in self.shapes:
            if shape is None:
                pieces.append(None)
                continue
            count = 1
            for extent in shape:
                count *= extent
            pieces.append(gradient.narrow(0, start, count).reshape(shape))
            start += count
        given = self.function.backward(self.context, *pieces)
        given = given if isinstance(given, tuple) else (given,)
        name = f"{self.function.__name__}Backward"
        if len(given) < self.context.count:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected "
                f"{self.context.count}, got {len(given)})"
            )
        chosen = []
        for place, tensor in zip(self.places, self.needed, strict=True):
            result = given[place]
            if result is not None and tensor.requires_grad and result.shape != tensor.shape:
                raise RuntimeError(
                    f"Function {name} returned an invalid gradient at index {place} - got "
                    f"{list(result.shape)} but expected shape compatible with "
                    f"{list(tensor.shape)}"
                )
            chosen.append(result if tensor.requires_grad else None)
        return tuple(chosen)


class FunctionCtx:
    """What forward hands to backward."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._saved: tuple[Any, ...] = ()
        self._nondifferentiable: tuple[Any, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for `saved_tensors` in backward."""
        self._saved = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        raise NotImplementedError(
            "forward-mode derivatives of autograd.Function are not supported yet"
        )

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self._saved

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Says which outputs carry no gradient."""
        self._nondifferentiable = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        raise NotImplementedError(
            "autograd.Function: mark_dirty (in-place functions) is not supported yet; return a "
            "new tensor"
        )

    def set_materialize_grads(self, value: bool) -> None:
        """Accepted: missing output gradients are always zeros."""
        self.materialize_grads = value


class Function:
    """A differentiable function with its own backward: subclass it, call `apply`."""

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

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward and, where an input requires a gradient, makes it part of the graph."""
        ctx = FunctionCtx(len(args))
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        if not (recorder.LOCAL.grad_mode and any(ctx.needs_input_grad)):
            return output
        return cls._join(ctx, args, output)

    @classmethod
    def _join(cls, ctx: FunctionCtx, args: tuple[Any, ...], output: Any) -> Any:
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        plain = {id(t) for t in ctx._nondifferentiable}
        chosen = [
            o
            for o in outputs
            if isinstance(o, Tensor)
            and id(o) not in plain
            and (o.dtype.is_floating_point or o.dtype.is_complex)
        ]
        if not chosen:
            return output
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        tensors = [args[i] for i in places]
        shapes = [tuple(o.shape) if any(o is c for c in chosen) else None for o in outputs]
        cut = FunctionCut(cls, ctx, shapes, places, tensors)
        attributes = (f"{cls.__name__}Backward",)
        joined = iter(recorder.advance(FUNCTION, (chosen, tensors), attributes, (cut,))[2])
        final = [next(joined) if any(o is c for c in chosen) else o for o in outputs]
        replaced = {id(old): new for old, new in zip(outputs, final, strict=True)}
        ctx._saved = tuple(replaced.get(id(t), t) for t in ctx._saved)
        if not isinstance(output, (tuple, list)):
            return final[0]
        return type(output)(final) if isinstance(output, list) else tuple(final)


def once_differentiable(function: Any) -> Any:
    """Marks a backward that is not differentiable itself: it runs without recording."""
    import functools

    @functools.wraps(function)
    def wrapped(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            return function(ctx, *gradients)

    return wrapped
