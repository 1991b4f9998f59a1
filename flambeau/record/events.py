"""The kinds of events that a recording is made of, and what each does to a trace.

An event's key is (kind instance, operands.., attributes). An operand is a tensor's number, a Python
number type (a run-time scalar), None, or a tuple of operands. `apply` is the slow path: it sees the
key and the trace, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.core.errors import SHARED
from flambeau.core.promotion import can_cast, result_dtype
from flambeau.core.shapes import (
    Shape,
    Strides,
    contiguous_strides,
    dense_strides_like,
    elementwise_strides,
    is_contiguous,
    overlaps,
    overlaps_partly,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value, latest_order
from flambeau.record.meta import Meta
from flambeau.record.records import Group, TensorRecord
from flambeau.record.trace import Trace

Layout = tuple[Shape, Strides, int]


class Event:
    """Base of all kinds: `name` words errors, `grad_name` is what `grad_fn` prints."""

    __slots__ = ("grad_name", "name")

    aliases = False  # whether results are views of the first operand
    enters = False  # whether the event only brings a tensor into the recording
    repeatable = False  # whether it may be recorded once more, on copies, for its derivative

    def __init__(self, name: str, grad_name: str | None = None) -> None:
        self.name = name
        self.grad_name = grad_name or f"{''.join(w.capitalize() for w in name.split('_'))}Backward0"

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Any:
        """Changes the trace; what it returns is kept as the state's `extra`."""
        raise NotImplementedError(self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def operand_value(trace: Trace, operand: Any) -> Any:
    """What an operand of a key stands for."""
    if isinstance(operand, int):
        return trace.read(operand)
    if isinstance(operand, type):
        return trace.scalar(operand)
    if isinstance(operand, tuple):
        return [operand_value(trace, part) for part in operand]
    return operand


def result_strides(
    trace: Trace, operands: Sequence[Any], shape: Shape, dtype: DType, wraps: int = 0, kept: int = 0
) -> Strides | None:
    """The strides of an elementwise result: those of its operands made dense (PyTorch's
    preserve_format).

    Operands are cast to one dtype first, which makes them dense, but for the first `kept`. A Python
    number among the first `wraps` is there like a tensor without axes.
    """
    metas = [
        trace.tensors[o].meta for o in operands if isinstance(o, int) and not isinstance(o, bool)
    ]
    if not metas:
        return None  # numbers alone
    wrapped = any(isinstance(o, type) for o in operands[:wraps])
    if not wrapped and all(
        meta.shape == shape and is_contiguous(shape, meta.strides) for meta in metas
    ):
        return None
    if any(len(meta.shape) > len(shape) for meta in metas):
        return None
    layouts = [(meta.shape, meta.strides) for meta in metas]
    if len({meta.dtype for meta in metas}) > 1 or metas[0].dtype is not dtype:
        common = _common_dtype(metas[kept:], operands, dtype)
        for n, meta in enumerate(metas):
            if n >= kept and meta.dtype is not common:
                layouts[n] = meta.shape, dense_strides_like(meta.shape, meta.strides)
    return elementwise_strides(shape, layouts, wrapped)


def _common_dtype(metas: Sequence[Meta], operands: Sequence[Any], dtype: DType) -> DType:
    """The dtype that operands are cast to, of a result of this one."""
    numbers = [operand for operand in operands if isinstance(operand, type)]
    common = result_dtype([*((meta.dtype, not meta.shape) for meta in metas), *numbers])
    if dtype.is_floating_point and common.kind in "biu":
        return dtype  # a quotient of whole numbers, say
    return common


class PureOp(Event):
    """Values in, values out: `function(*operands, *attributes)` gives one value or a tuple."""

    __slots__ = ("copied", "copies", "function", "kept", "preserves", "wraps")

    repeatable = True

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        grad_name: str | None = None,
        *,
        preserves: bool = False,
        wraps: int = 0,
        kept: int = 0,
        copies: bool = False,
        copied: Callable[..., Sequence[bool]] | None = None,
    ) -> None:
        super().__init__(name, grad_name)
        self.function = function
        self.preserves = preserves  # the result keeps the memory order of the operands
        self.wraps, self.kept = wraps, kept  # see `result_strides`
        self.copies = copies  # the result lies as a copy of the operand does
        # `copied(*metas, *attributes)`: which operands PyTorch copies first, so that what is
        # written to them later does not concern the derivative.
        self.copied = copied

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        operands = self.operands(trace, key)
        if trace.autocast is not None:
            trace.autocasts = True
            operands = trace.autocast.cast(self.name, operands)
        result = self.function(*operands, *(key[-1] or ()))
        name = self.grad_name_of(operands, key[-1] or ())
        for value in result if isinstance(result, tuple) else (result,):
            strides = self.strides(trace, key, value.shape, value.dtype)
            if value in operands:
                value = _copied(value)
            trace.new_tensor(value, strides=strides, grad_name=name)

    def operands(self, trace: Trace, key: tuple[Any, ...]) -> list[Any]:
        """What the function is called with, before its attributes."""
        parts = key[1:-1]
        found = [operand_value(trace, part) for part in parts]
        if self.copied is None or not trace.grad_mode or not all(type(n) is int for n in parts):
            return found
        metas = [trace.tensors[number].meta for number in parts]
        if not any(meta.requires_grad for meta in metas):
            return found
        copied = self.copied(*metas, *(key[-1] or ()))
        return [trace.copy_of(v) if c else v for v, c in zip(found, copied, strict=True)]

    def grad_name_of(self, operands: Sequence[Any], attributes: Sequence[Any]) -> str | None:
        """What the grad_fn of its results is called."""
        return self.grad_name

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """How a result lies in memory; None: in row-major order."""
        if not self.preserves:
            return None
        if self.copies:
            meta = trace.tensors[key[1]].meta
            return dense_strides_like(meta.shape, meta.strides)
        return result_strides(trace, key[1:-1], shape, dtype, self.wraps, self.kept)


def _copied(value: Value) -> Value:
    """The same value as a node of its own (an op that returned its operand must not alias it)."""
    from flambeau.ops import view

    return view.reshape(value, shape=value.shape)


class InplaceOp(Event):
    """`function` of the target and other operands, written into the target. No new tensor."""

    __slots__ = ("apart", "function", "reads")

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        grad_name: str | None = None,
        *,
        reads: bool = True,
        apart: bool | None = False,
    ) -> None:
        super().__init__(name, grad_name)
        self.function = function
        self.reads = reads  # whether the function takes the target's old value
        # Whether no operand may share memory with the target; None: any may.
        self.apart = apart

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        target = key[1]
        trace.check_writable(target)
        if self.apart is not None:
            _check_overlap(trace, target, key[2:-1], apart=self.apart)
        first: list[Any] = [trace.tensors[target].meta]
        if self.reads:
            first = [trace.read_before_write(target) if trace.grad_mode else trace.read(target)]
        others = [operand_value(trace, part) for part in key[2:-1]]
        try:
            result = self.function(*first, *others, *(key[-1] or ()))
        except NotImplementedError:  # PyTorch asks for the kernel after whether its result fits
            if self.name in COMPARISONS:
                raise
            operands = [v for v in (*first, *others) if isinstance(v, Value)]
            refuse_cast(ar.promoted_dtype(*operands), trace.tensors[target].meta.dtype)
            raise
        result = fitted(result, trace.tensors[target].meta)
        trace.write(target, result, grad_name=self.grad_name, reads=self.reads)


def _check_overlap(
    trace: Trace, target: int, operands: Sequence[Any], *, apart: bool = False
) -> None:
    """RuntimeError where an operand lies partly, or (`apart`) at all, in the written memory."""
    written = trace.tensors[target]
    for operand in operands:
        if apart and isinstance(operand, tuple):
            _check_overlap(trace, target, operand, apart=True)
        if not isinstance(operand, int) or isinstance(operand, bool):
            continue
        other = trace.tensors[operand]
        if other.storage is not written.storage or (operand == target and not apart):
            continue
        if (apart and overlaps(other.layout, written.layout)) or (
            overlaps_partly(other.layout, written.layout)
        ):
            raise RuntimeError(SHARED)


COMPARISONS = frozenset(("lt_", "le_", "gt_", "ge_"))  # whose result is a truth


def refuse_cast(dtype: DType, wanted: DType) -> None:
    """RuntimeError where a result does not fit the dtype it is written as."""
    if not can_cast(dtype, wanted):
        raise RuntimeError(
            f"result type {dtype.scalar_name} can't be cast to the desired output type "
            f"{wanted.scalar_name}"
        )


def fitted(value: Value, meta: Meta) -> Value:
    """A result made to fit the tensor it is written to, or PyTorch's error."""
    if value.shape != meta.shape:
        if len(value.shape) > len(meta.shape) or any(
            a not in (1, b) for a, b in zip(value.shape[::-1], meta.shape[::-1], strict=False)
        ):
            raise RuntimeError(
                f"output with shape {list(meta.shape)} doesn't match the broadcast shape "
                f"{list(value.shape)}"
            )
        value = ar.expand(value, meta.shape)
    if value.dtype is not meta.dtype:
        refuse_cast(value.dtype, meta.dtype)
        value = ar.cast(value, meta.dtype)
    return value


class CopyOp(InplaceOp):
    """target.copy_(source): any dtype converts."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        meta = trace.tensors[key[1]].meta
        trace.check_writable(key[1])
        if self.apart is not None:
            _check_overlap(trace, key[1], key[2:-1])
        value = self.function(
            meta, *[operand_value(trace, part) for part in key[2:-1]], *(key[-1] or ())
        )
        value = fitted(ar.cast(value, meta.dtype), meta)
        trace.write(key[1], value, grad_name=self.grad_name, reads=self.reads)


class ViewOp(Event):
    """A view: `layout(shape, strides, offset, *attributes)` and the value it shows, by structured
    views.
    """

    __slots__ = ("layout", "value")

    aliases = True
    repeatable = True

    def __init__(
        self,
        name: str,
        layout: Callable[..., Layout],
        value: Callable[..., Value],
        grad_name: str | None = None,
    ) -> None:
        super().__init__(name, grad_name)
        self.layout = layout
        self.value = value

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.check_current(key[1])
        tensor, attributes = trace.tensors[key[1]], key[-1] or ()
        meta = tensor.meta
        shape, strides, offset = self.layout(meta.shape, meta.strides, meta.offset, *attributes)
        value = self.value(trace.tracked_value(key[1]), *attributes)
        assert value.shape == shape, (self.name, value, shape)
        trace.new_view(tensor, shape, strides, offset, value, self.grad_name)


class DetachOp(Event):
    """An alias outside the graph; with `silent` one whose writes are not counted: `x.data`."""

    __slots__ = ("silent",)

    aliases = True

    def __init__(self, name: str, silent: bool) -> None:
        super().__init__(name)
        self.silent = silent

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        tensor = trace.tensors[key[1]]
        shape, strides, offset = tensor.layout
        trace.new_view(
            tensor, shape, strides, offset, None, None, detached=True, silent=self.silent
        )


class RequireGradOp(Event):
    """requires_grad_(flag) on a tensor of the recording."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        number, flag = key[1], key[2]
        make_leaf(trace, trace.tensors[number], flag)


def make_leaf(trace: Trace, tensor: TensorRecord, flag: bool) -> None:
    """Turns a leaf's requires_grad on or off."""
    from flambeau.ops import source
    from flambeau.record.restricted import owned

    group = Group(tensor.storage)
    group.flat = (
        source.detach(trace.data(tensor.storage))
        if trace.data(tensor.storage).tracked
        else (trace.data(tensor.storage))
    )
    if flag:
        group.leaf = len(trace.leaves)
        trace.leaves.append(tensor.number)
        group.flat = source.leaf(group.flat, group.leaf)
    trace.regroup(tensor, group)
    trace.change_meta(
        tensor.number,
        tensor.meta.replaced(
            requires_grad=flag,
            is_leaf=True,
            grad_name=None,
            born=owned(tensor.meta),
            silent=tensor.meta.silent and not flag,
        ),
    )


class GradModeOp(Event):
    """Grad mode set to key[1] in the middle of a recording."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.set_grad_mode(key[1])


class RandomOp(Event):
    """A draw: `function(state value, *operands, *attributes)` returns (results.., new generator
    state).
    """

    __slots__ = ("function",)

    def __init__(
        self, name: str, function: Callable[..., Any], grad_name: str | None = None
    ) -> None:
        super().__init__(name, grad_name)
        self.function = function

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        generator = key[1]
        state = trace.read(generator)
        result = self.function(
            state, *[operand_value(trace, p) for p in key[2:-1]], *(key[-1] or ())
        )
        *values, after = result
        grad_mode, trace.grad_mode = trace.grad_mode, False
        trace.write(generator, after)
        trace.grad_mode = grad_mode
        for value in values:
            trace.new_tensor(value, grad_name=self.grad_name)


class RandomInplaceOp(RandomOp):
    """A draw written into a target: key[2] is the target; `function(state, meta, *attributes)`."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        generator, target = key[1], key[2]
        meta = trace.tensors[target].meta
        trace.check_writable(target)
        operands = [operand_value(trace, p) for p in key[3:-1]]
        value, after = self.function(trace.read(generator), meta, *operands, *(key[-1] or ()))
        grad_mode, trace.grad_mode = trace.grad_mode, False
        trace.write(generator, after)
        trace.grad_mode = grad_mode
        trace.write(target, fitted(ar.cast(value, meta.dtype), meta), grad_name=self.grad_name)


class GroupUpdateOp(Event):
    """Several tensors overwritten at once (an optimizer's step, `zero_grad`, clipping), outside
    autograd.

    key = (op, tuple of operands, attributes); `function(values, *attributes)` returns {place: new
    value}. Places index the first operand tuple.
    """

    __slots__ = ("function",)

    def __init__(self, name: str, function: Callable[..., dict[int, Value]]) -> None:
        super().__init__(name)
        self.function = function

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        grad_mode, trace.grad_mode = trace.grad_mode, False
        try:
            values = [operand_value(trace, part) for part in key[1:-1]]
            written = self.function(*values, *(key[-1] or ()))
            for place, value in written.items():
                target = key[1][place]
                trace.write(target, fitted(value, trace.tensors[target].meta))
        finally:
            trace.grad_mode = grad_mode


class AliasOp(Event):
    """A tensor enters over a storage that is already part of the recording."""

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_alias(key[1], key[2], key[3])


class PartOp(Event):
    """The same, where the place is another one each time: key = (op, meta, base)."""

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_part(key[1], key[2])


class AgainOp(Event):
    """A leaf that has entered before (number key[2]) enters with another state of its data."""

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_again(key[1], key[2])


class EnterOp(Event):
    """A tensor enters over a storage new to the recording (the key is its meta alone)."""

    __slots__ = ()

    def apply(self, trace: Trace, key: Any) -> None:
        trace.enter(key)


class EnterAllOp(Event):
    """Several tensors enter, each over a storage new to the recording: key = (op, Metas)."""

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: Any) -> None:
        for meta in key[1].metas:
            trace.enter(meta)


class Metas:
    """Some metas as one part of a key, compared by identity: `together` gives one for equals."""

    __slots__ = ("metas",)

    def __init__(self, metas: list[Meta]) -> None:
        self.metas = metas


_known_metas: dict[tuple[Meta, ...], Metas] = {}
_MANY_METAS = 10_000


def together(metas: tuple[Meta, ...]) -> Metas:
    """The metas as part of a key."""
    if len(_known_metas) > _MANY_METAS:
        _known_metas.clear()
    return _known_metas.get(metas) or _known_metas.setdefault(metas, Metas(list(metas)))


class AutocastOp(Event):
    """Autocast set to the policy key[1] (None: off) in the middle of a recording."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.autocast = key[1]


class ComputedAgainOp(Event):
    """From here on what is recorded is computed again on the way back (key[1]), or is not."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.spans.set(key[1])


ENTER = EnterOp("enter")
ENTER_ALL = EnterAllOp("enter_all")
ALIAS = AliasOp("alias")
PART = PartOp("part")
AGAIN = AgainOp("again")
DETACH = DetachOp("detach", silent=False)
DATA = DetachOp("data", silent=True)
REQUIRE_GRAD = RequireGradOp("requires_grad_")
GRAD_MODE = GradModeOp("set_grad_enabled")
AUTOCAST = AutocastOp("autocast")
COMPUTED_AGAIN = ComputedAgainOp("computed_again")


def step(trace: Trace, key: Any) -> Any:
    """Applies the event of a key to a trace."""
    if isinstance(key, Meta):
        return ENTER.apply(trace, key)
    event: Event = key[0]
    trace.event = event.grad_name
    trace.name = event.name
    trace.marks.append(latest_order())
    return event.apply(trace, key)


def contiguous_like(meta: Meta) -> Strides:
    return contiguous_strides(meta.shape)
