"""The rows of a summary: the layers that a forward pass goes through, and their figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from flambeau.functional.randomness import rand
from flambeau.nn.modules.module import Module
from flambeau.nn.parameter import is_lazy
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.recording import retrace
from flambeau.record.worth import operations
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True)
class Place:
    """Where a module stands in the tree: its name in its parent, its depth."""

    name: str
    module: Module
    depth: int
    parent: Place | None

    def above(self) -> list[Place]:
        """The modules that hold it, from the outermost to its parent; without the model itself."""
        found, at = [], self.parent
        while at is not None and at.depth:
            found.append(at)
            at = at.parent
        return found[::-1]


@dataclass
class Layer:
    """One row: a call of a module, or a module that holds those that were called.

    `mult_adds` is estimated from the sizes of the parameters (each is used once per sample, or
    once per place of a convolution's output); `flops` are counted in what was recorded: two for
    each multiply-add of matrix products, convolutions and recurrent layers.
    """

    place: Place
    again: bool  # the module has a row further up
    params: int = 0
    trainable: int = 0
    param_bytes: int = 0
    inner: list[tuple[str, list[int], int]] = field(default_factory=list)  # name, shape, elements
    input_size: list[int] = field(default_factory=list)
    output_size: list[int] = field(default_factory=list)
    output_bytes: int = 0
    mult_adds: int = 0
    flops: int = 0
    ran: bool = False
    index: int = 0
    within: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.module = self.place.module
        self.depth = self.place.depth
        self.leaf = not any(self.module.children())
        self.count_parameters()

    def __repr__(self) -> str:
        return f"{type(self.module).__name__}: {self.depth}"

    def count_parameters(self) -> None:
        """Counts elements: of a pruned parameter those that its mask leaves."""
        self.params = self.trainable = self.param_bytes = 0
        self.inner = []
        for name, parameter in self.module.named_parameters():
            if is_lazy(parameter):
                continue
            name, count = _elements(self.module, name, parameter)
            self.params += count
            self.param_bytes += count * parameter.element_size()
            self.trainable += count if parameter.requires_grad else 0
            shape = list(parameter.shape)
            if name == "weight" and len(shape) > 1:
                shape[:2] = shape[1::-1]  # inputs before outputs
            if self.depth or "." not in name:
                self.inner.append((name, shape, count))

    def finish(self, inputs: Any, output: Any, batch_dim: int | None) -> None:
        """Notes what the call was given and gave."""
        self.count_parameters()  # a lazy layer has its parameters now
        self.input_size, _ = size_of(inputs, batch_dim)
        self.output_size, each = size_of(output, batch_dim)
        self.output_bytes = each * prod(self.output_size)
        self.mult_adds = self._estimated()
        self.ran = True

    def _estimated(self) -> int:
        size, total = self.output_size, 0
        if not size:
            return 0
        for full, parameter in self.module.named_parameters():
            name, count = _elements(self.module, full, parameter)
            if name in ("weight", "bias"):
                convolves = "Conv" in type(self.module).__name__
                total += count * (prod(size[:1] + size[2:]) if convolves else size[0])
            elif "weight" in name or "bias" in name:
                total += count * prod(size[:2])
        return total

    def own(self, what: str) -> int:
        """`params` or `trainable` of the module that no layer within it has."""
        rest = int(getattr(self, what))
        for layer in self.within:
            if not layer.again:
                rest -= getattr(layer, what) if layer.leaf else layer.own(what)
        return rest


def _elements(module: Module, name: str, parameter: Tensor) -> tuple[str, int]:
    if name.endswith("_orig"):
        mask: Any = module
        for part in f"{name[:-5]}_mask".split("."):
            mask = getattr(mask, part, None)
        if mask is not None:
            return name[:-5], int(mask.sum())
    return name, parameter.numel()


def size_of(value: Any, batch_dim: int | None) -> tuple[list[int], int]:
    """The size of what a layer takes or gives, and the bytes of an element: of several tensors the
    first, of a dictionary the last.
    """
    if isinstance(value, (Tensor, np.ndarray)):
        return _tensor_size(value)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (Tensor, _Packed)):
        size, each = size_of(value[0], None)
        if batch_dim is not None:
            size = [*size[:batch_dim], 1, *size[batch_dim + 1 :]]
        return size, each
    if isinstance(value, Mapping):
        return _nested_size(list(value.values())[-1]) if value else ([], 0)
    size, each = _nested_size(value)
    if batch_dim is not None and batch_dim < len(size):
        size[batch_dim] = 1
    return size, each


class _PackedType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(getattr(value, "data", None), Tensor)


class _Packed(metaclass=_PackedType):
    """What has its entries in `data`, as a PackedSequence."""


def _tensor_size(value: Any) -> tuple[list[int], int]:
    return list(value.shape), value.itemsize


def _nested_size(value: Any) -> tuple[list[int], int]:
    while isinstance(value, (list, tuple, Mapping)) and value:
        value = next(iter(value.values())) if isinstance(value, Mapping) else value[0]
    value = getattr(value, "tensors", value)
    if not isinstance(value, (Tensor, np.ndarray)):
        value = getattr(value, "data", None)
    return _tensor_size(value) if isinstance(value, (Tensor, np.ndarray)) else ([], 0)


# ---- a pass --------------------------------------------------------------------------------------


class Watch:
    """Hooks on every module of a model that write a row for each call."""

    def __init__(self, model: Module, batch_dim: int | None) -> None:
        self.rows: list[Layer] = []
        self._batch_dim = batch_dim
        self._seen: set[int] = set()
        self._open: dict[int, Layer] = {}
        self._counter = Counter()
        places = {id(place.module): place for place in places_of(model)}  # the last one counts
        self._handles = [
            handle
            for place in places.values()
            for handle in (
                place.module.register_forward_pre_hook(self._beginner(place)),
                place.module.register_forward_hook(self._end),
            )
        ]

    def close(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _beginner(self, place: Place) -> Any:
        def begin(module: Module, inputs: Any) -> None:
            layer = Layer(place, id(module) in self._seen)
            self._seen.add(id(module))
            self._open[id(module)] = layer
            self.rows.append(layer)

        return begin

    def _end(self, module: Module, inputs: Any, output: Any) -> None:
        layer = self._open[id(module)]
        layer.finish(inputs, output, self._batch_dim)
        self._counter.note(layer, output)

    def finished(self) -> list[Layer]:
        """The rows, with those of modules that only hold others and were never called."""
        self._counter.count()
        found: list[Layer] = []
        current: dict[int, Module] = {}
        for row in self.rows:
            for place in row.place.above():
                if current.get(place.depth) is not place.module:
                    found.append(Layer(place, id(place.module) in self._seen))
                    self._seen.add(id(place.module))
                    current[place.depth] = place.module
            found.append(row)
            current[row.depth] = row.module
            current = {depth: module for depth, module in current.items() if depth <= row.depth}
        return arranged(found)


def places_of(model: Module) -> Iterator[Place]:
    """Every module wherever it stands, those that stand in several places several times."""
    stack = [Place(type(model).__name__, model, 0, None)]
    while stack:
        place = stack.pop()
        yield place
        children = [
            Place(name, child, place.depth + 1, place)
            for name, child in place.module._modules.items()
            if child is not None
        ]
        stack += children[::-1]


def unrun(model: Module) -> list[Layer]:
    """The rows of a model that was not called."""
    seen: set[int] = set()
    found = []
    for place in places_of(model):
        found.append(Layer(place, id(place.module) in seen))
        seen.add(id(place.module))
    return arranged(found)


def arranged(rows: list[Layer]) -> list[Layer]:
    """Numbers the rows of each depth, and tells each which rows stand within it."""
    counts: dict[int, int] = {}
    above: list[Layer] = []
    for row in rows:
        row.index = counts[row.depth] = counts.get(row.depth, 0) + 1
        while above and above[-1].depth >= row.depth:
            above.pop()
        for other in above:
            other.within.append(row)
        above.append(row)
    return rows


class Counter:
    """Counts operations in what was recorded while layers ran, without running it.

    What is behind an output and was not counted yet belongs to the layer that gave it: layers end
    before those that hold them.
    """

    def __init__(self) -> None:
        # Per recording: its last state here, and for each layer the numbers of its outputs.
        self._notes: dict[int, tuple[Any, Any, list[tuple[Layer, list[int]]]]] = {}

    def note(self, layer: Layer, output: Any) -> None:
        """A layer has ended."""
        rec = recorder.LOCAL.rec
        numbers = [t._num for t in tensors_in(output) if t._rec is rec]
        if numbers:
            layers = self._notes[id(rec)][2] if id(rec) in self._notes else []
            layers.append((layer, numbers))
            self._notes[id(rec)] = rec, rec.state, layers

    def count(self) -> None:
        """Gives the layers their `flops`."""
        for _, state, layers in self._notes.values():
            trace = retrace(state)
            seen: set[Value] = set()
            for layer, numbers in layers:
                stack = [trace.tracked_value(number) for number in numbers]
                while stack:
                    value = stack.pop()
                    if value not in seen:
                        seen.add(value)
                        layer.flops += operations(value)
                        stack += value.inputs


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)


def sample(size: Any, dtype: Any, generator: Any) -> Tensor:
    """A tensor of that size to call a model with: in [0, 1); of an integer dtype all zeros."""
    made: Tensor = rand(*size, generator=generator).to(dtype)
    return made
