"""Statements about gradients: backward passes, hooks, updates, training loops."""

from __future__ import annotations

from dataclasses import replace

from .account import Account, Var
from .program import Block, Line
from .statements import broadcast


class Gradients(Account):
    """Writes statements about gradients."""

    def root(self) -> tuple[Var | None, str]:
        """A tensor with history and the text of a scalar made of it."""
        x = self.pick(lambda v: v.grad and v.floating and (not v.leaf or self.rng.random() < 0.3))
        if not x:
            return None, ""
        other = self.pick(
            lambda v: v.grad and v.dtype == x.dtype and broadcast(v.shape, x.shape) is not None
        )
        if other and self.rng.random() < 0.5:
            return x, f"({x.name} * {other.name}).sum()"
        return x, self.rng.choice(
            [f"{x.name}.sum()", f"({x.name} * {x.name}).mean()", f"{x.name}.tanh().sum()"]
        )

    def backward(self) -> None:
        x, text = self.root()
        if x:
            keep = self.rng.choice(["", "", "retain_graph=True"])
            form = self.rng.random()
            if form < 0.2:
                self.line(
                    f"{x.name}.backward(torch.ones_like({x.name})"
                    + (f", {keep}" if keep else "")
                    + ")"
                )
            elif form < 0.3:
                self.line(f"torch.autograd.backward([{text}, {x.name}.sum()])")
            elif form < 0.4:
                self.result(text, (), x.dtype, x)
                self.line(f"{list(self.vars)[-1]}.backward({keep})")
            else:
                self.line(f"{text}.backward({keep})")

    def leaves(self) -> list[Var]:
        return [v for v in self.vars.values() if v.grad and v.leaf]

    def grad_of(self) -> None:
        x, text = self.root()
        # (Tensors with views that were written through: PyTorch derives the one from the other.)
        wanted = self.pick(lambda v: v.grad and (v.leaf or (not v.view and not v.viewed)))
        if x and wanted:
            options = self.rng.choice(
                ["", ", create_graph=True", ", create_graph=True", ", retain_graph=True"]
            )
            double = "create_graph" in options
            before, self.grad_mode = self.grad_mode, self.grad_mode and double
            # (a copy, because PyTorch's gradients may be expanded scalars)
            copied = "clone(memory_format=torch.contiguous_format)"
            self.result(
                f"torch.autograd.grad({text}, {wanted.name}{options})[0].{copied}",
                wanted.shape,
                wanted.dtype,
                wanted,
            )
            self.grad_mode = before

    def zero_grads(self) -> None:
        for x in self.leaves()[:2]:
            form = self.rng.choice(["{0}.grad = None", "{0}.grad is None or {0}.grad.zero_()"])
            self.line(form.format(x.name))

    def read_grad(self) -> None:
        leaves = self.leaves()
        if leaves:
            x = self.rng.choice(leaves)
            if self.rng.random() < 0.3:
                self.line(f"{x.name}.grad", observed=True)
            else:
                form = self.rng.choice(["{0}.grad", "{0}.grad * 2", "{0}.grad.clone()"])
                self.result(form.format(x.name), x.shape, x.dtype)

    def hook(self) -> None:
        x = self.pick(lambda v: v.grad)
        if not x:
            return
        form = self.rng.choice(
            [
                "h{1} = {0}.register_hook(lambda g: g * 2)",
                "{0}.retain_grad()",
                "h{1} = {0}.register_hook(lambda g: g * float(g.sum() > 0))",
                "h{1} = {0}.register_hook(lambda g: None)",
                "h{1}.remove()",
            ]
        )
        number = self.rng.randrange(3)
        self.line(form.format(x.name, number))

    def require(self) -> None:
        """A new leaf, or a flag set to what it is."""
        x = self.pick(lambda v: v.floating)
        if x:
            flag = self.rng.choice(["True", "False", "run != 1"])
            made = self.result(
                f"{x.name}.detach().clone().requires_grad_({flag})", x.shape, x.dtype
            )
            self.keep(replace(made, grad=flag != "False"))
            if self.rng.random() < 0.3:
                self.line(f"{made.name}.requires_grad_({flag})")

    def update(self) -> None:
        """An optimizer's step by hand."""
        leaves = self.leaves()[:3]
        if leaves:
            rate = self.scalar()
            self.out.append(
                Block(
                    "with torch.no_grad()",
                    tuple(Line(f"{x.name} -= {rate} * {x.name}.grad") for x in leaves),
                )
            )

    def train(self) -> None:
        """A training loop: forward, backward, update, with something else in between."""
        rng = self.rng
        w = self.pick(lambda v: v.grad and v.leaf and v.size > 0)
        if not w or self.loops:
            return
        self.loops.append("i")
        outer, self.out = self.out, []
        self.depth += 1
        data = self.pick(lambda v: v.floating and broadcast(v.shape, w.shape) is not None) or w
        loss = f"(({w.name} * {data.name} - {self.scalar()}) ** 2).mean()"
        x = self.result(loss, (), w.dtype, w)
        if rng.random() < 0.6:
            self.statement()
        zero = rng.choice(["{0}.grad = None", "{0}.grad is None or {0}.grad.zero_()", "{0}.grad"])
        self.line(zero.format(w.name))
        self.line(f"{x.name}.backward()")
        self.out.append(Block("with torch.no_grad()", (Line(f"{w.name} -= 0.1 * {w.name}.grad"),)))
        if rng.random() < 0.5:
            self.statement()
        if rng.random() < 0.4:
            self.line(f"{x.name}.item()", observed=True)
        self.depth -= 1
        self.loops.pop()
        outer.append(Block(f"for i in range({rng.randint(3, 6)})", tuple(self.out)))
        self.out = outer
