"""Random whole programs: a seed gives a program, the same one everywhere.

The generator keeps a rough account of the tensors (shape, dtype, whether a gradient is wanted), so
that most statements are valid; a few are wrong on purpose, and others turn out wrong: both sides
must then raise alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from .account import Var
from .gradients import Gradients
from .program import THREAD, TOGETHER, Block, Program, Statement
from .statements import (
    REDUCTIONS,
    UNARY,
    broadcast,
    chosen_shape,
    index_of,
    numbers,
    shape_of_reduction,
    view_of,
)

MODES = ("enable_grad", "enable_grad", "no_grad")


def generate(seed: int, length: int = 24) -> Program:
    """A program of about `length` statements."""
    return Program(Generator(random.Random(seed)).program(length), seed)


class Generator(Gradients):
    """Writes statements of all kinds."""

    def program(self, length: int) -> tuple[Statement, ...]:
        self.leaf()
        self.leaf()
        self.create()
        while len(self.out) < length:
            self.statement()
        return tuple(self.out)

    # ---- one statement
    # -----------------------------------------------------------------------------

    def statement(self) -> None:
        kinds: list[tuple[float, Callable[[], None]]] = [
            (2, self.create),
            (2, self.leaf),
            (5, self.unary),
            (9, self.binary),
            (5, self.with_number),
            (8, self.view),
            (5, self.write),
            (4, self.write_index),
            (3, self.read_index),
            (5, self.reduce),
            (3, self.matmul),
            (2, self.where),
            (2, self.join),
            (3, self.copy),
            (4, self.backward),
            (2, self.grad_of),
            (2, self.zero_grads),
            (2, self.read_grad),
            (1.5, self.hook),
            (5, self.observe),
            (2, self.to_numpy),
            (2, self.write_array),
            (1, self.require),
            (2, self.update),
            (1.5, self.wrong),
            (1, self.delete),
            (1, self.draw),
            (1, self.convert),
            (1.5, self.call),
        ]
        if self.depth < 2:
            kinds += [(3, self.loop), (2, self.mode_block), (1.5, self.if_block), (2, self.train)]
            kinds += [(1, self.thread), (0.7, self.threads)]
        before = len(self.out)
        while len(self.out) == before:
            self.rng.choices([k for _, k in kinds], [w for w, _ in kinds])[0]()

    def create(self) -> None:
        shape = chosen_shape(self.rng)
        dtype = self.rng.choice(["float32"] * 5 + ["float64", "float64", "int64", "int64", "bool"])
        var = Var(self.name(), shape, dtype)
        form = self.rng.random()
        if form < 0.65 and var.size:
            self.line(
                f"{var.name} = torch.tensor({{data}}, dtype=torch.{dtype})",
                numbers(self.rng, shape, dtype),
            )
        else:
            maker = self.rng.choice([f"zeros({shape}", f"ones({shape}", f"full({shape}, 3"])
            self.line(f"{var.name} = torch.{maker}, dtype=torch.{dtype})")
        self.keep(var)

    def leaf(self) -> None:
        shape = chosen_shape(self.rng)
        shape = shape if 0 not in shape else (2, 3)
        dtype = self.rng.choice(["float32", "float32", "float32", "float64"])
        var = Var(self.name(), shape, dtype, True)
        self.line(
            f"{var.name} = torch.tensor({{data}}, dtype=torch.{dtype}, requires_grad=True)",
            numbers(self.rng, shape, dtype),
        )
        self.keep(var)

    def unary(self) -> None:
        x = self.pick(lambda v: v.floating)
        if x:
            self.result(self.rng.choice(UNARY).format(x.name), x.shape, x.dtype, x)

    def binary(self) -> None:
        x = self.pick(lambda v: v.dtype != "bool")
        if not x:
            return
        y = self.partner(x)
        shape = broadcast(x.shape, y.shape)
        if shape is None:
            return
        dtype = max(x.dtype, y.dtype, key=("bool", "int64", "float32", "float64").index)
        form = self.rng.choice(
            [
                "{0} + {1}",
                "{0} - {1}",
                "{0} * {1}",
                "{0} * {1}",
                "torch.maximum({0}, {1})",
                "{0} / ({1}.abs() + 1)",
                "torch.minimum({0}, {1})",
                "{0} < {1}",
                "{0} == {1}",
                "{0} >= {1}",
            ]
        )
        if "<" in form or "=" in form:
            dtype = "bool"
        elif "/" in form and dtype == "int64":
            dtype = "float32"
        self.result(form.format(x.name, y.name), shape, dtype, x, y)

    def with_number(self) -> None:
        x = self.pick(lambda v: v.dtype != "bool")
        if x:
            s = self.scalar()
            form = self.rng.choice(
                [
                    "{0} * {1}",
                    "{0} + {1}",
                    "{1} - {0}",
                    "{1} * {0}",
                    "{0} / 2.0",
                    "torch.add({0}, {0}, alpha={1})",
                    "{0}.clamp(max={1})",
                    "{0} ** 2",
                ]
            )
            floating = (
                x.floating or "/" in form or ("." in s and "{1}" in form and "clamp" not in form)
            )
            dtype = x.dtype if x.floating else "float32" if floating else x.dtype
            self.result(form.format(x.name, s), x.shape, dtype, x)

    def view(self) -> None:
        x = self.pick()
        if x:
            text, shape, spread = view_of(self.rng, x.name, x.shape)
            self.keep(replace(x, viewed=True))
            self.result(text, shape, x.dtype, x, spread=x.spread or spread, view=True)

    def write(self) -> None:
        """In place, through a base or a view of it."""
        x = self.writable()
        if not x:
            return
        y = self.pick(
            lambda v: broadcast(v.shape, x.shape) == x.shape and v.dtype == x.dtype and not v.view
        )
        s = self.scalar() if x.floating else "2"
        forms = ["{0}.mul_({1})", "{0} += {1}", "{0}.fill_({1})", "{0}.zero_()", "{0} -= {1}"]
        if x.floating:
            forms += ["{0}.clamp_(-1, 1)", "{0}.tanh_()", "{0}.relu_()", "{0}.sigmoid_()"]
        if y and y.name != x.name:
            forms += [
                "{0}.add_({2})",
                "{0}.mul_({2})",
                "{0}.copy_({2})",
                "{0} *= {2}",
                "{0}.sub_({2}, alpha={1})",
                "{0}.add_({2}, alpha={1})",
            ] * 2
        text = self.rng.choice(forms)
        through = x.name
        if text[3] == "." and self.rng.random() < 0.3:
            through, _, spread = view_of(self.rng, x.name, x.shape)
            if spread or "{2}" in text:
                through = x.name
        self.line(text.format(through, s, y.name if y else ""))
        if y and "{2}" in text and y.grad and self.grad_mode and not x.grad:
            self.keep(replace(x, grad=True, leaf=False))

    def writable(self) -> Var | None:
        wrong = self.rng.random() < 0.05
        return self.pick(
            lambda v: (
                v.dtype != "bool"
                and (wrong or not (v.spread or (v.grad and v.leaf and self.grad_mode)))
            )
        )

    def write_index(self) -> None:
        x = self.writable()
        if not x or not x.shape:
            return
        s = self.scalar() if x.floating else "1"
        y = self.pick(lambda v: not v.shape and v.dtype == x.dtype)
        value = y.name if y and self.rng.random() < 0.4 else s
        index = index_of(self.rng, x.name, x.shape)
        self.line(
            self.rng.choice(
                [
                    f"{x.name}[{index}] = {value}",
                    f"{x.name}[{index}] += {value}",
                    f"{x.name}[{index}] *= {value}",
                ]
            )
        )
        if value != s and y and y.grad and self.grad_mode and not x.grad:
            self.keep(replace(x, grad=True, leaf=False))

    def read_index(self) -> None:
        x = self.pick(lambda v: bool(v.size and v.shape))
        if not x:
            return
        forms = [
            (f"{x.name}[[0, -1]]", (2, *x.shape[1:])),
            (f"{x.name}[..., 0]", x.shape[:-1]),
            (f"{x.name}[torch.tensor([0, 0, -1])]", (3, *x.shape[1:])),
            (f"{x.name}.index_select(0, torch.tensor([0, 0]))", (2, *x.shape[1:])),
            (f"{x.name}[{x.name} > 0].sum()", ()),
        ]
        if len(x.shape) > 1:
            forms += [
                (f"{x.name}[[0, -1], [0, 0]]", (2, *x.shape[2:])),
                (f"{x.name}.gather(1, torch.zeros_like({x.name}, dtype=torch.int64))", x.shape),
                (f"{x.name}[:, [0]]", (x.shape[0], 1, *x.shape[2:])),
            ]
        text, shape = self.rng.choice(forms)
        dtype = "int64" if x.dtype == "bool" and "sum" in text else x.dtype
        if "..." not in text:
            text += ".contiguous()"  # (the memory order of what an index picks is PyTorch's own)
        elif not self.grad_mode:
            text += ".clone()"
        else:
            self.keep(replace(x, viewed=True))
        self.result(text, shape, dtype, x, view="..." in text)

    def reduce(self) -> None:
        x = self.pick(lambda v: v.floating)
        if not x:
            return
        form = self.rng.choice(REDUCTIONS)
        text, shape, dtype = shape_of_reduction(self.rng, form, x.name, x.shape)
        self.result(text, shape, dtype or x.dtype, x)

    def matmul(self) -> None:
        x = self.pick(lambda v: v.floating and len(v.shape) >= 1)
        if not x:
            return
        inner = x.shape[-1]
        y = self.pick(lambda v: v.dtype == x.dtype and len(v.shape) == 2 and v.shape[0] == inner)
        if y:
            self.result(f"{x.name} @ {y.name}", (*x.shape[:-1], y.shape[1]), x.dtype, x, y)
        elif len(x.shape) >= 2:
            self.result(
                f"{x.name} @ {x.name}.transpose(-1, -2)", (*x.shape[:-1], x.shape[-2]), x.dtype, x
            )
        else:
            self.result(f"{x.name}.dot({x.name})", (), x.dtype, x)

    def where(self) -> None:
        x = self.pick(lambda v: v.floating)
        if not x:
            return
        mask = self.pick(lambda v: v.dtype == "bool" and broadcast(v.shape, x.shape) == x.shape)
        y = self.pick(lambda v: v.dtype == x.dtype and broadcast(v.shape, x.shape) == x.shape)
        test = mask.name if mask else f"{x.name} > 0.25"
        other = y.name if y and self.rng.random() < 0.7 else "0.5"
        sources = (x, y) if y and other == y.name else (x,)
        self.result(f"torch.where({test}, {x.name}, {other})", x.shape, x.dtype, *sources)

    def join(self) -> None:
        x = self.pick(lambda v: bool(v.shape))
        if not x:
            return
        y = self.pick(lambda v: v.shape == x.shape and v.dtype == x.dtype) or x
        if self.rng.random() < 0.5:
            axis = self.rng.randrange(len(x.shape))
            shape = list(x.shape)
            shape[axis] *= 2
            self.result(f"torch.cat([{x.name}, {y.name}], dim={axis})", tuple(shape), x.dtype, x, y)
        else:
            self.result(f"torch.stack([{x.name}, {y.name}])", (2, *x.shape), x.dtype, x, y)

    def copy(self) -> None:
        x = self.pick()
        if x:
            form = self.rng.choice(
                [
                    "{}.clone()",
                    "{}.detach()",
                    "{}.data.clone()",
                    "{}.detach().clone()",
                    "{}.contiguous()",
                    "{}",
                ]
            )
            sources = () if "detach" in form or "data" in form else (x,)
            same = form in ("{}", "{}.contiguous()", "{}.detach()")
            if same:
                self.keep(replace(x, viewed=True))
            self.result(
                form.format(x.name), x.shape, x.dtype, *sources, leaf=same and x.leaf, view=same
            )

    def draw(self) -> None:
        shape = chosen_shape(self.rng)
        if self.rng.random() < 0.4:
            self.line(f"torch.manual_seed({self.rng.randrange(100)})")
        else:
            self.line(f"torch.manual_seed({self.rng.randrange(5)})")
            self.result(f"torch.{self.rng.choice(['rand', 'randn'])}({shape})", shape, "float32")

    def convert(self) -> None:
        x = self.pick(lambda v: v.dtype != "bool")
        if x:
            dtype = self.rng.choice(["float32", "float64"])
            form = self.rng.choice(["{}.to(torch.{})", "{}.type(torch.{})"])
            self.result(form.format(x.name, dtype), x.shape, dtype, x)

    # ---- the world outside
    # -------------------------------------------------------------------------

    def observe(self) -> None:
        x = self.pick()
        if not x:
            return
        forms = [
            "{}.tolist()",
            "{}",
            "{}.sum().item()",
            "bool(({} > 0).any())",
            "({0}.shape, {0}.is_contiguous())",
            "{}.requires_grad",
            "len({})",
        ]
        self.line(self.rng.choice(forms).format(x.name), observed=True)

    def to_numpy(self) -> None:
        # (Writes to memory that a graph has saved: PyTorch does not see them, nor is it said what
        # they do.)
        x = self.pick(lambda v: v.dtype != "bool" and not v.grad)
        if not x:
            return
        name = self.name("n")
        if self.arrays and self.rng.random() < 0.3:
            array = self.rng.choice(list(self.arrays))
            source = self.vars.get(self.arrays[array])
            if source:
                var = Var(self.name(), source.shape, source.dtype)
                self.line(f"{var.name} = torch.from_numpy({array})")
                self.keep(var)
            return
        self.line(f"{name} = {x.name}.numpy()")
        self.arrays[name] = x.name

    def write_array(self) -> None:
        if not self.arrays:
            return
        array = self.rng.choice(list(self.arrays))
        if self.rng.random() < 0.2:
            self.line(f"del {array}")
            del self.arrays[array]
            return
        form = self.rng.choice(
            ["{}[...] = 1", "{} += 1", "{}[0:1] = 2", "np.multiply({0}, 2, out={0})"]
        )
        self.line(form.format(array))

    def delete(self) -> None:
        if len(self.vars) > 4:
            name = self.rng.choice(list(self.vars))
            del self.vars[name]
            self.line(f"del {name}")

    def wrong(self) -> None:
        x = self.pick()
        if x:
            forms = [
                "{} + torch.zeros(7, 5)",
                "{}.reshape(7, 5)",
                "{}.sum(dim=9)",
                "{}[99]",
                "{}.expand(1, 1)",
                "{}.backward()",
                "torch.cat([{}, torch.zeros(7, 5)])",
                "{}.transpose(0, 5)",
                "{} @ {}[0]",
                "{}.view(5, -1 if run == 1 else 7)",
                "{}.numpy()",
                "{}.squeeze(9)",
                "float({})",
                "{}.add_(torch.zeros(6, 7))",
                "{}.unsqueeze(12)",
                "{}.bernoulli_(torch.ones(9))[1]",
            ][:15]
            form = self.rng.choice(forms)
            self.line(form.replace("{}", x.name))

    # ---- compound statements
    # -----------------------------------------------------------------------

    def inner(self, header: str, count: int) -> None:
        """A block of `count` statements; what the account knew before it holds after it too."""
        outer, self.out = self.out, []
        known = dict(self.vars)
        self.depth += 1
        while len(self.out) < count:
            self.statement()
        self.depth -= 1
        outer.append(Block(header, tuple(self.out)))
        self.out = outer
        if header.startswith("if"):
            self.vars = {n: v for n, v in known.items() if n in self.vars}

    def loop(self) -> None:
        name = "ij"[len(self.loops)]
        self.loops.append(name)
        self.inner(f"for {name} in range({self.rng.randint(3, 6)})", self.rng.randint(2, 7))
        self.loops.pop()

    def mode_block(self) -> None:
        mode = self.rng.choice(
            ["no_grad()", "no_grad()", "enable_grad()", "set_grad_enabled(run != 1)"]
        )
        before, self.grad_mode = self.grad_mode, mode == "enable_grad()"
        self.inner(f"with torch.{mode}", self.rng.randint(1, 4))
        self.grad_mode = before

    def thread(self) -> None:
        """A part of the program in another thread: tensors go there and come back, pending."""
        before, self.grad_mode = self.grad_mode, True
        self.inner(THREAD, self.rng.randint(1, 5))
        self.grad_mode = before

    def threads(self) -> None:
        """Threads that read the same tensors at the same time, and set names of their own."""
        outer, known = self.out, dict(self.vars)
        before, depth = self.grad_mode, self.depth
        made: dict[str, Var] = {}
        parts: list[Statement] = []
        self.fresh, self.depth = True, 2
        safe = [self.unary, self.binary, self.with_number, self.view, self.reduce, self.matmul]
        safe += [self.where, self.join, self.copy, self.read_index, self.observe, self.convert]
        for _ in range(self.rng.randint(2, 4)):
            self.out, self.vars = [], dict(known)
            mode = self.rng.choice(MODES)
            self.grad_mode = mode == "enable_grad"
            count = self.rng.randint(1, 4)
            while len(self.out) < count:
                self.rng.choice(safe)()
            made.update({n: v for n, v in self.vars.items() if n not in known})
            known.update({n: v for n, v in self.vars.items() if n in known})
            parts.append(Block(f"with torch.{mode}()", tuple(self.out)))
        self.fresh, self.depth, self.grad_mode = False, depth, before
        outer.append(Block(TOGETHER, tuple(parts)))
        self.out, self.vars = outer, {**known, **made}

    def if_block(self) -> None:
        tests = ["run == 1", "run != 1", "run == 2"]
        if self.loops:
            tests += [
                f"{self.loops[-1]} == 1",
                f"{self.loops[-1]} != 2",
                f"{self.loops[-1]} % 2 == 0",
            ] * 2
        x = self.pick(lambda v: v.floating)
        if x:
            tests.append(f"{x.name}.sum() > 0.3")
        self.inner(f"if {self.rng.choice(tests)}", self.rng.randint(1, 3))

    def call(self) -> None:
        """A function of the program, made where there is none, called (often again)."""
        x = self.pick(lambda v: v.floating)
        if not x:
            return
        if not self.functions or self.rng.random() < 0.3:
            name = f"f{len(self.functions)}"
            self.functions[name] = (x,)
            self.line(self.function(name))
        name = self.rng.choice(list(self.functions))
        self.result(f"{name}({x.name}, {self.scalar()})", x.shape, x.dtype, x)

    def function(self, name: str) -> str:
        lines = [f"def {name}(a, s):", "    b = a * s"]
        choices: Sequence[str] = (
            "b = torch.tanh(a + b)",
            "c = b.detach()",
            "b = b + a.sum()",
            "b = b.clone()",
            "b *= 0.5",
            "a = b - a",
            "b.mul_(s)",
            "a = a.reshape(-1).reshape(b.shape)",
            "if b.sum() > 0: b = b - 1",
            "b = torch.where(a > b, a, b)",
        )
        lines += [f"    {self.rng.choice(choices)}" for _ in range(self.rng.randint(1, 4))]
        return "\n".join([*lines, "    return b"])
