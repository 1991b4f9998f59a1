"""Rewrites of programs that never change a result: Program -> Program."""

from __future__ import annotations

from collections.abc import Callable

from flambeau.graph.program import Program, Update
from flambeau.ops.value import Value

# A rule gives the replacement of a value whose operands have been rewritten, or None to keep it.
Rule = Callable[[Value, tuple[Value, ...]], "Value | None"]


class Rewriter:
    """Applies a rule to every value of a program, operands first; what does not change stays as it is."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.new: dict[Value, Value] = {}

    def program(self, program: Program) -> Program:
        for v in program.nodes():
            self.new[v] = self.value(v)
        if all(self.new[v] is v for v in program.outputs()):
            return program
        updates = tuple(Update(u.base, self.new[u.value]) for u in program.updates)
        return Program(program.bases, program.scalars, tuple(self.new[v] for v in program.results),
                       updates)

    def value(self, v: Value) -> Value:
        inputs = tuple([self.new[x] for x in v.inputs])
        replaced = self.rule(v, inputs)
        if replaced is not None:
            return replaced
        if all(a is b for a, b in zip(inputs, v.inputs, strict=True)):
            return v
        return Value(v.primitive, inputs, v.attrs, v.shape, v.dtype, v.tracked)


def simplify(program: Program) -> Program:
    return program
