"""Reverse-mode differentiation of values: derivative rules applied from the outputs back.

The cotangents are ordinary values, so gradients can be differentiated again. Values of earlier
programs take part through `Imports`, which stands for what those programs saved.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from flambeau.graph import attending
from flambeau.graph.program import data_operands
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value, latest_order


class Reverse:
    """One backward pass over one program's values.

    `sinks` maps a value to what wants its cotangent (leaves, history links, captured values);
    `visit` is told each differentiated value and the forward values its derivative has used. A pass
    may be run in steps: `seed`, then `run`.
    """

    def __init__(
        self,
        visit: Callable[[Value, list[Value]], None] | None = None,
        translate: Callable[[Value], Value] | None = None,
    ) -> None:
        self.cotangents: dict[Value, Value] = {}
        self.heap: list[tuple[int, Value]] = []
        self.leaves: dict[int, Value] = {}
        self.histories: dict[int, Value] = {}
        self.captured: dict[Value, Value] = {}
        self.wanted: set[Value] = set()
        self.reached: set[Value] = set()  # what has had a cotangent
        self.required: set[Value] | None = None  # what the pass is confined to (see `required_for`)
        self.cuts: dict[Value, Callable[[Value], Iterable[tuple[Value, Value]] | None]] = {}
        self.cut: Value | None = None
        self.observe: Callable[[Value, int, Value, Value], None] | None = None  # anomaly mode
        self.began: Callable[[int, Value], None] | None = None  # told where derivatives begin
        # The value that is differentiated, and its cotangent.
        self.looking: Value | None = None
        self.passing: Value | None = None
        self.translate = translate
        self.dry = False  # nobody has asked for these derivatives yet
        self._visit = visit

    def seed(self, value: Value, cotangent: Value) -> None:
        """Adds to the cotangent of a value."""
        if not value.tracked or (self.required is not None and value not in self.required):
            return
        have = self.cotangents.get(value)
        if have is None:
            self.cotangents[value] = cotangent
            self.reached.add(value)
            heapq.heappush(self.heap, (-value.order, value))
        else:
            self.cotangents[value] = ar.add(have, cotangent)

    def run(self) -> None:
        """Propagates until nothing is left, or until a value whose derivative is not known here.

        Such a value (`cut`) has an entry in `cuts`, which gives the cotangents of other values from
        its own, or None where that takes Python code to run first: `cut` and its cotangent are left
        for the caller.
        """
        while self.heap and self.cut is None:
            self.step()

    def step(self) -> None:
        """Differentiates the latest value that has a cotangent."""
        _, value = self.heap[0]
        ct = self.cotangents[value]
        if value in self.cuts:
            onward = self.cuts[value](ct)
            if onward is None:
                self.cut = value
                return
            self._pop(value)
            for place, (operand, cotangent) in enumerate(onward):
                if operand is value:
                    self._pass(value, cotangent)
                else:
                    if self.observe is not None:
                        self.observe(value, place, operand, cotangent)
                    self.seed(operand, cotangent)
            return
        self._pop(value)
        self._pass(value, ct)

    def _pop(self, value: Value) -> None:
        heapq.heappop(self.heap)
        del self.cotangents[value]

    def _pass(self, value: Value, ct: Value) -> None:
        if value in self.wanted:
            have = self.captured.get(value)
            self.captured[value] = ct if have is None else ar.add(have, ct)
        name = value.primitive.name
        if name == "leaf":
            _accumulate(self.leaves, value.attrs["leaf"], ct)
        elif name == "history":
            _accumulate(self.histories, value.attrs["frame"], ct)
        elif self.required is None or not self.required.isdisjoint(value.inputs):
            self._differentiate(value, ct)

    def _differentiate(self, value: Value, ct: Value) -> None:
        self.looking, self.passing = value, ct
        if value.primitive.name == "dot" and self._attend(value, ct):
            return
        translate, primitive = self.translate, value.primitive
        out, inputs = value, list(value.inputs)
        if translate and primitive.looks_at_result:
            out = translate(value)
        if translate and primitive.looks_at_operands:
            inputs = [translate(v) for v in inputs]
        before = latest_order()
        if self.began is not None:
            self.began(before, value)
        cotangents = primitive.vjp(ct, out, *inputs, **value.attrs)
        if self._visit is not None:
            used = forward_uses(
                [
                    c
                    for c, operand in zip(cotangents, value.inputs, strict=True)
                    if c is not None and operand.tracked
                ],
                before,
                ct,
            )
            self._visit(value, used)
        for place, (operand, cotangent) in enumerate(zip(value.inputs, cotangents, strict=True)):
            if cotangent is None:
                # (`vjp` does not know of another program's operands whether they are tracked.)
                if operand.tracked and not self.dry and primitive.lacks_derivative(place):
                    raise NotImplementedError(
                        f"the derivative for '{primitive.name}' is not implemented."
                    )
            elif operand.tracked:
                assert cotangent.shape == operand.shape, (value, operand, cotangent)
                if cotangent.dtype is not operand.dtype:
                    cotangent = ar.cast(cotangent, operand.dtype)
                if self.observe is not None:
                    self.observe(value, place, operand, cotangent)
                self.seed(operand, cotangent)

    def _attend(self, value: Value, ct: Value) -> bool:
        """Goes on with q, k and v from the product that ends attention, if it is one and nobody
        stands in between; see Note [Attention by hand].
        """
        found = None if self.observe is not None else attending.attention_of(value)
        if found is None or any(x in self.wanted or x in self.cuts for x in found.inner):
            return False
        matrices, extras = found.pieces()[:3], found.pieces()[3:]
        if not value.inputs[0].tracked or any(x.tracked for x in extras):
            return False
        if self.required is not None and self.required.isdisjoint(matrices):
            return False
        if self.began is not None:
            self.began(latest_order(), value)
        translate = self.translate or (lambda x: x)
        if self._visit is not None:
            for x, used in attending.uses(found, value):
                self._visit(x, [translate(y) for y in used])
        for operand, cotangent in found.cotangents(ct, translate):
            self.seed(operand, cotangent)
        return True


def _accumulate(into: dict[int, Value], key: int, ct: Value) -> None:
    have = into.get(key)
    into[key] = ct if have is None else ar.add(have, ct)


def forward_uses(results: list[Value], before: int, ct: Value) -> list[Value]:
    """The values older than the mark that results made after it refer to, the cotangent apart."""
    seen, stack, used = set(results), list(results), []
    while stack:
        value = stack.pop()
        if value.order < before:
            if value is not ct:
                used.append(value)
            continue
        for operand in data_operands(value):
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return used


def required_for(
    roots: Iterable[Value],
    is_end: Callable[[Value], bool],
    cuts: dict[Value, tuple[Value | None, ...]],
) -> set[Value]:
    """The tracked values between the roots and the ends: all that a pass for those ends needs.

    `cuts` gives the operands of values whose derivative is Python code.
    """
    seen = {value for value in roots if value.tracked}
    stack = list(seen)
    operands: dict[Value, list[Value]] = {}
    while stack:
        value = stack.pop()
        inputs = cuts.get(value, value.inputs)
        operands[value] = [v for v in inputs if v is not None and v.tracked]
        for operand in operands[value]:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    found: set[Value] = set()
    for value in sorted(seen, key=lambda v: v.order):
        if is_end(value) or any(operand in found for operand in operands[value]):
            found.add(value)
    return found
