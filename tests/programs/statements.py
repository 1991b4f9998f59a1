"""The texts of statements that the generator chooses from, and the shapes they give."""

from __future__ import annotations

import random
from typing import Any

Shape = tuple[int, ...]

SHAPES: tuple[Shape, ...] = (
    (),
    (3,),
    (4,),
    (2, 3),
    (3, 3),
    (3, 4),
    (1, 4),
    (3, 1),
    (2, 3, 4),
    (0, 3),
    (1,),
)
UNARY = (
    "-{}",
    "{}.abs()",
    "torch.tanh({})",
    "{}.sigmoid()",
    "{}.sin()",
    "{}.cos()",
    "torch.relu({})",
    "torch.exp(-{}.abs())",
    "({}.abs() + 0.5).sqrt()",
    "{}.square()",
    "{}.clamp(-1, 1)",
    "torch.log1p({}.abs())",
    "torch.nn.functional.softplus({})",
    "{}.exp().clamp(max=4)",
)
REDUCTIONS = (
    "sum",
    "mean",
    "amax",
    "amin",
    "max",
    "min",
    "prod",
    "std",
    "logsumexp",
    "softmax",
    "cumsum",
    "argmax",
    "norm",
    "log_softmax",
    "var",
)


def chosen_shape(rng: random.Random) -> Shape:
    """A shape from the small set, the plain ones more often."""
    return rng.choices(SHAPES, (2, 4, 2, 4, 3, 3, 1, 1, 2, 0.4, 0.4))[0]


def numbers(rng: random.Random, shape: Shape, dtype: str) -> Any:
    """Nested lists of numbers of a dtype."""
    if shape:
        return [numbers(rng, shape[1:], dtype) for _ in range(shape[0])]
    if dtype == "bool":
        return rng.random() < 0.5
    if dtype == "int64":
        return rng.randint(-4, 4)
    return round(rng.uniform(-2, 2), 3)


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape that two broadcast to, or None."""
    short, long = sorted((a, b), key=len)
    out = list(long)
    for place in range(1, len(short) + 1):
        n, m = short[-place], long[-place]
        if n != m and 1 not in (n, m):
            return None
        out[-place] = m if n == 1 else n
    return tuple(out)


def view_of(rng: random.Random, name: str, shape: Shape) -> tuple[str, Shape, bool]:
    """A view's text, its shape, and whether its elements share memory."""
    rank = len(shape)
    forms: list[tuple[str, Shape, bool]] = [
        (f"{name}.unsqueeze(0)", (1, *shape), False),
        (f"{name}[None]", (1, *shape), False),
    ]
    size = 1
    for extent in shape:
        size *= extent
    forms += [(f"{name}.reshape(-1)", (size,), False), (f"{name}.flatten()", (size,), False)]
    if rank <= 2:
        forms.append((f"{name}.expand(2, *{name}.shape)", (2, *shape), True))
    if rank:
        forms += _axis_views(rng, name, shape)
    if rank >= 2:
        last = (*shape[:-2], shape[-1], shape[-2])
        forms += [
            (f"{name}.transpose(-1, -2)", last, False),
            (f"{name}.mT", last, False),
            (f"{name}.permute({', '.join(map(str, reversed(range(rank))))})", shape[::-1], False),
            (f"{name}.diagonal()", (*shape[2:], min(shape[0], shape[1])), False),
            (f"{name}.movedim(0, -1)", (*shape[1:], shape[0]), False),
        ] * 2
    if 1 in shape:
        forms.append((f"{name}.squeeze()", tuple(n for n in shape if n != 1), False))
    if shape == (4,):
        forms.append((f"{name}.view(2, 2)", (2, 2), False))
    return rng.choice(forms)


def _axis_views(rng: random.Random, name: str, shape: Shape) -> list[tuple[str, Shape, bool]]:
    axis = rng.randrange(len(shape))
    extent = shape[axis]
    before, after = shape[:axis], shape[axis + 1 :]
    colons = ":, " * axis
    forms: list[tuple[str, Shape, bool]] = [
        (f"{name}[{colons}::2]", (*before, (extent + 1) // 2, *after), False),
        (f"{name}[{colons}1:]", (*before, max(extent - 1, 0), *after), False),
        (f"{name}.flip({axis})", shape, False),
    ]
    if extent:
        forms += [
            (f"{name}.select({axis}, {rng.randrange(extent)})", before + after, False),
            (f"{name}[{colons}-1]", before + after, False),
            (
                f"{name}.narrow({axis}, 0, {extent - extent // 2})",
                (*before, extent - extent // 2, *after),
                False,
            ),
            (f"{name}.unbind({axis})[0].clone()", before + after, False),
            (
                f"{name}.chunk(2, dim={axis})[0].clone()",
                (*before, (extent + 1) // 2, *after),
                False,
            ),
        ]
    return forms


def index_of(rng: random.Random, name: str, shape: Shape) -> str:
    """What stands in the brackets of an assignment."""
    forms = [
        "0",
        "-1",
        "1:",
        "::2",
        "...",
        f"{name} > 0",
        "[0, -1]",
        "torch.tensor([0])",
        f"{name} < run",
    ]
    if len(shape) > 1:
        forms += ["0, 0", ":, 0", "0, 1:", "..., -1", "[0, -1], [0, 0]", ":, [0]"]
    return rng.choice(forms)


def shape_of_reduction(
    rng: random.Random, name: str, x: str, shape: Shape
) -> tuple[str, Shape, str | None]:
    """A reduction's text, its shape and its dtype (None: that of x)."""
    rank = len(shape)
    axis = rng.randrange(rank) if rank else 0
    if name in ("softmax", "log_softmax", "cumsum"):
        return f"{x}.{name}({axis})", shape, None
    dtype = "int64" if name == "argmax" else None
    if name == "norm" or (name not in ("logsumexp",) and (not rank or rng.random() < 0.4)):
        return f"{x}.{name}()", (), dtype
    keep = rng.random() < 0.3
    out = (*shape[:axis], *((1,) if keep else ()), *shape[axis + 1 :])
    text = f"{x}.{name}({axis}{', keepdim=True' if keep else ''})"
    if name in ("max", "min"):
        text += "[0]"
    return text, out, dtype
