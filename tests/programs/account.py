"""What a generator of programs knows of the variables of the program that it writes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .program import Line, Statement
from .statements import broadcast

Shape = tuple[int, ...]
FLOATS = ("float32", "float64")


@dataclass(frozen=True)
class Var:
    """What is known of a variable: an expectation, not a promise."""

    name: str
    shape: Shape
    dtype: str
    grad: bool = False
    leaf: bool = True
    spread: bool = False  # expanded: elements may share memory
    view: bool = False
    viewed: bool = False

    @property
    def floating(self) -> bool:
        return self.dtype in FLOATS

    @property
    def size(self) -> int:
        count = 1
        for extent in self.shape:
            count *= extent
        return count


class Account:
    """The variables so far, and the lines."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.vars: dict[str, Var] = {}
        self.arrays: dict[str, str] = {}  # NumPy array: the tensor it may alias
        self.functions: dict[str, tuple[Var, ...]] = {}
        self.out: list[Statement] = []
        self.grad_mode = True
        self.depth = 0
        self.loops: list[str] = []
        self.count = 0
        self.fresh = False  # names that are in use must stay

    def statement(self) -> None:
        """Writes a statement, or tries to."""
        raise NotImplementedError

    def line(self, text: str, data: object = None, *, observed: bool = False) -> None:
        self.out.append(Line(text, data, observed))

    def name(self, prefix: str = "x") -> str:
        """A new name, or (rebinding it) one in use."""
        names = [n for n in self.vars if n[0] == prefix]
        if not self.fresh and prefix == "x" and len(names) > 3 and self.rng.random() < 0.3:
            return self.rng.choice(names)
        self.count += 1
        return f"{prefix}{self.count}"

    def pick(self, test: Callable[[Var], bool] = lambda v: True) -> Var | None:
        """A variable that passes the test, later ones more likely."""
        found = [v for v in self.vars.values() if test(v)]
        if not found:
            return None
        return self.rng.choice(found if self.rng.random() < 0.5 else found[-3:])

    def keep(self, var: Var) -> None:
        self.vars.pop(var.name, None)
        self.vars[var.name] = var

    def result(
        self,
        text: str,
        shape: Shape,
        dtype: str,
        *sources: Var,
        leaf: bool = False,
        spread: bool = False,
        view: bool = False,
    ) -> Var:
        """`name = text` and the account of it."""
        grad = self.grad_mode and dtype in FLOATS and any(v.grad for v in sources)
        var = Var(self.name(), shape, dtype, grad, leaf or not grad, spread, view)
        self.line(f"{var.name} = {text}")
        self.keep(var)
        return var

    def scalar(self) -> str:
        """A Python number, sometimes one that changes from step to step."""
        choices = [
            "0.5",
            "2",
            "1.0",
            "1",
            "-0.75",
            "True",
            "3",
            "0.25 + 0.5 * run",
            "1 + run",
            "1.5",
            "-1",
        ]
        if self.loops:
            i = self.rng.choice(self.loops)
            choices += [f"0.5 * {i}", i, f"(1 - {i})", f"0.1 + 0.2 * {i}"] * 2
        text = self.rng.choice(choices)
        return f"({text})" if " " in text or text[0] == "-" else text

    def partner(self, x: Var) -> Var:
        """A variable whose shape broadcasts with that of x (x itself where there is none)."""
        return (
            self.pick(lambda v: broadcast(v.shape, x.shape) is not None and v.dtype != "bool") or x
        )
