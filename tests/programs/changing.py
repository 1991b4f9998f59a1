"""Random programs of which no run is like the others: coins that choose branches in loops, rows and
lengths that hang on the run.

What recordings do where steps are ever new (rounds of loops that become programs, rows that enter
as memory of their own, ops that run one by one) shows after several runs of one program.
"""

from __future__ import annotations

import random
from dataclasses import replace

from .account import Shape
from .generator import Generator
from .program import Block, Program, Statement


def generate_changing(seed: int, length: int = 12) -> Program:
    """A program of about `length` statements, several of which hang on the run."""
    return Program(Changing(random.Random(seed)).program(length), seed)


class Changing(Generator):
    """Writes statements of all kinds, and those that turn out differently in each run."""

    def program(self, length: int) -> tuple[Statement, ...]:
        self.leaf()
        self.leaf()
        self.create()
        while len(self.out) < length:
            if self.rng.random() < 0.4:
                self.rng.choice([self.rounds, self.rounds, self.part, self.length])()
            else:
                self.statement()
        return tuple(self.out)

    def chance(self) -> str:
        """A number that looks drawn: of the run, and of where the loops stand."""
        parts = [f"run * {self.rng.randrange(7000, 8000)}", str(self.rng.randrange(1000))]
        parts += [f"{i} * {self.rng.randrange(100, 999)}" for i in self.loops]
        return f"(({' + '.join(parts)}) * 2654435761 % 4294967296 >> 16)"

    def coin(self) -> str:
        return f"{self.chance()} % 2 == 0"

    def rounds(self) -> None:
        """A loop whose rounds take one of two branches, or leave out a part."""
        if self.depth >= 2:
            return
        name = "ij"[len(self.loops)]
        self.loops.append(name)
        outer, self.out = self.out, []
        self.depth += 1
        known = dict(self.vars)
        for _ in range(self.rng.randint(0, 3)):
            self.statement()
        test = self.coin()
        self.branch(f"if {test}")
        if self.rng.random() < 0.6:
            self.branch(f"if not {test}")
        for _ in range(self.rng.randint(0, 2)):
            self.rng.choice([self.statement, self.part, self.length])()
        self.depth -= 1
        self.loops.pop()
        outer.append(Block(f"for {name} in range({self.rng.randint(4, 8)})", tuple(self.out)))
        self.out = outer
        self.vars = {n: v for n, v in self.vars.items() if n in known} or self.vars

    def branch(self, header: str) -> None:
        self.inner(header, self.rng.randint(1, 4))

    def if_block(self) -> None:
        if self.rng.random() < 0.5:
            self.branch(f"if {self.coin()}")
        else:
            super().if_block()

    def part(self) -> None:
        """A row that the run chooses, read or written."""
        x = self.pick(lambda v: bool(v.shape and v.size))
        if not x:
            return
        at = f"{self.chance()} % {x.shape[0]}"
        form = self.rng.random()
        if form < 0.5:
            self.result(f"{x.name}[{at}]", x.shape[1:], x.dtype, x, view=True)
            self.keep(replace(self.vars.get(x.name, x), viewed=True))
        elif form < 0.7:
            self.result(f"{x.name}[{at}] * {self.scalar()}", x.shape[1:], x.dtype, x)
        elif x.dtype != "bool" and (not x.grad or not x.leaf or not self.grad_mode):
            write = self.rng.choice(["{0}[{1}] += 1", "{0}[{1}].mul_(2)", "{0}[{1}] = 0"])
            self.line(write.format(x.name, at))
        else:
            self.line(f"{x.name}[{at}].tolist()", observed=True)

    def length(self) -> None:
        """What has another length in each run, brought to a known shape."""
        x = self.pick(lambda v: v.floating and bool(v.shape and v.shape[0] > 1))
        if not x:
            return
        cut = f"{self.chance()} % {x.shape[0] - 1} + 1"
        again = f"{self.chance()} % 9 + 1"
        first = f"{x.name}[:{cut}]"
        row = x.shape[1:]
        ways: list[tuple[str, Shape]] = [
            (f"{first}.sum(0)", row),
            (f"(torch.tanh({first}) * 2).mean(0)", row),
            (f"{first}.softmax(0).sum(0)", row),
            (f"torch.cat([{x.name}[({cut}):], {first}])", x.shape),
            (f"({x.name}.roll({cut}, 0) + 1)", x.shape),
            (f"torch.stack([{x.name}] * ({again})).mean(0)", x.shape),
            (f"{x.name}.repeat({again}, *[1] * {len(row)})[0]", row),
        ]
        if self.rng.random() < 0.15:
            self.line(f"({first} * 3).exp().sum().item()", observed=True)
        else:
            text, shape = self.rng.choice(ways)
            self.result(text, shape, x.dtype, x)
