"""Indexing, gathers, scatters, masks against PyTorch: values, gradients, writes, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from against_torch import (
    MINE,
    Case,
    check_error,
    check_gradients,
    check_values,
    draw,
    mine_of,
    same,
)

import flambeau
from flambeau.record import recorder

pytestmark = pytest.mark.parity


def case(text: str) -> Case:
    """A row of a table: x [3, 4], y [2, 3, 4], z [5]; i, j indices, m a mask of x."""
    made = eval(f"lambda t, x, y, z, i, j, m: {text}", {"np": np})

    def run(t: Any, x: Any, y: Any, z: Any) -> Any:
        mask = t.tensor((np.arange(12).reshape(3, 4) % 3 == 1).tolist())
        return made(t, x, y, z, t.tensor([0, -1, 1]), t.tensor([[1], [0]]), mask)

    return run


GETITEM = """
x[0]
x[-1]
x[1:]
x[:, 1:3]
x[::2, ::3]
x[-2:, -1]
x[5:]
x[2:1]
x[...]
x[..., 0]
x[None]
x[:, None]
x[None, 1, None]
x[1:, None, 0]
x[0, 1]
y[0, ..., None]
y[:, -1]
y[1, :, 1:3]
y[np.int64(1)]
y[t.tensor(1)]
x[i]
x[:, i]
x[i, i]
x[i - 1, 2]
x[2, i]
x[j]
x[j, i]
x[i[:, None], i]
x.t()[i]
x.t()[:, i]
y[:, i]
y[j, :, i]
y[j, i]
y[:, i, i]
y[0, :, i]
y[:, 0, i]
y[:, :, i]
y[j, 0]
y[j, 1:, i]
y[j, None, :, i]
y[..., i]
y[None, j]
x[[0, 2]]
x[[[0, 1], [1, 0]]]
x[[0, 2], [1, 1]]
x[(0, 1),]
x[range(2)]
x[np.array([2, 0])]
x[[]]
x[i[:0]]
x[t.tensor([[0, 1, 2], [2, 1, 0]], dtype=t.int32)]
x[m]
x[m[:, 0]]
x[:, m[0]]
y[:, m]
y[:, m[:, 1]]
y[m[0, :2]]
x[m[:, 1], i[:1]]
x[t.tensor([1, 0, 1], dtype=t.uint8)]
x[True]
x[False]
x[t.tensor(True)]
x[[True, False, True]]
x[m & False]
z[i][j]
x[i].t()[1:]
""".strip().split("\n")

FUNCTIONS = """
x.index_select(0, i.abs())
x.index_select(1, i[:1])
t.index_select(z, 0, t.tensor(2))
x.gather(1, t.tensor([[0, 3], [1, 1], [2, 0]]))
x.gather(0, t.tensor([[0, 2, 1]]))
x.gather(-1, t.tensor([[0], [1], [2]], dtype=t.int32))
t.gather(y, 1, t.tensor([[[0, 1], [2, 2]]]))
z.gather(0, t.tensor(3))
x.scatter(1, t.tensor([[0, 3], [1, 2], [2, 0]]), y[0, :, :2])
x.scatter(0, t.tensor([[0, 2, 1]]), y[1, :1, :3] * 2)
x.scatter(1, t.tensor([[0], [1], [2]]), 1.5)
x.scatter_add(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3])
x.scatter_add(0, t.tensor([[0, 0, 1, 2], [0, 1, 1, 0]]), y[1, :2])
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'sum')
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'mean')
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'prod')
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'amax')
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'amin')
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'sum', include_self=False)
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'mean', include_self=False)
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'amax', include_self=False)
x.scatter_reduce(1, t.tensor([[0, 0, 1], [1, 1, 1]]), y[0, :2, :3], 'prod', include_self=False)
x.take(t.tensor([[0, -1], [5, 5]]))
t.take_along_dim(x, t.tensor([[0], [1], [2]]), 1)
t.take_along_dim(x, t.tensor([[0, 1, 1, 2]]), 0)
t.take_along_dim(x, t.tensor([0, 11]))
x.index_add(0, t.tensor([0, 2, 0]), y[0])
x.index_add(1, t.tensor([1, 1]), y[0, :, :2], alpha=2.5)
x.index_copy(0, t.tensor([2, 0]), y[0, :2])
x.index_fill(1, t.tensor([0, -1]), 2.5)
x.index_fill(0, t.tensor([1]), z[0])
x.masked_fill(m, 1.5)
x.masked_fill(m[0], z[1])
y.masked_fill(m, 0)
x.masked_select(m)
t.masked_select(y, m)
x.masked_scatter(m, y)
x.put(t.tensor([0, -1]), z[:2])
x.put(t.tensor([1, 1]), z[:2], accumulate=True)
x.index_put((t.tensor([0, 2]),), z[:4])
x.index_put((t.tensor([0, 0]), t.tensor([1, 1])), z[:2], accumulate=True)
x.index_put((m,), z[0])
""".strip().split("\n")
RENAMED = ("reduce", "take_along_dim", "mean", "prod")

PLAIN = """
t.nonzero(m)
t.nonzero(x[:, 0] > 0)
t.nonzero(m, as_tuple=True)
t.nonzero(t.tensor(3.))
t.nonzero(t.tensor(0))
t.argwhere(y > 0)
x.scatter(1, t.tensor([[0, 0], [1, 2], [2, 0]]), 2., reduce='add')
x.scatter(1, t.tensor([[0, 0], [1, 2], [2, 0]]), x, reduce='multiply')
t.tensor([1, 2, 3]).scatter_add(0, t.tensor([0, 0]), t.tensor([5, 6]))
t.tensor([7, 2, 3]).scatter_reduce(0, t.tensor([0, 0]), t.tensor([5, 6]), 'mean')
t.tensor([1, 2, 3]).index_add(0, t.tensor([1]), t.tensor([5]))
t.tensor([1, 2, 3])[t.tensor([2, 0])]
t.tensor([True, False])[t.tensor([1, 1, 0])]
t.tensor([1, 2]).masked_fill(t.tensor([True, False]), 9)
x.masked_fill(x > 0, float('nan'))
x.masked_fill(x > 0, t.tensor(2 + 0j))
x.gather(1, t.tensor([[]], dtype=t.int64))
x.scatter(1, t.tensor([[]], dtype=t.int64), x)
x.index_select(0, t.tensor([], dtype=t.int64))
x[:0][:, i]
""".strip().split("\n")

ERRORS = """
x[7]
x[-4]
x[0, 9]
x[:, 4]
x[t.tensor([7])]
x[:, t.tensor([-5])]
x[t.tensor([1.0])]
x[0, 0, 0]
x[i, i, i]
x[t.tensor([[True, False]])]
x[t.tensor([True, False])]
x['a']
x[1.0]
x[::-1]
x[t.tensor([0, 5]), t.tensor([0, 1, 2])]
t.tensor(1.)[0]
x.index_select(0, t.tensor([1.]))
x.index_select(0, t.tensor([[1]]))
x.gather(1, t.tensor([[9]]))
x.gather(0, t.tensor([[-1]]))
x.gather(1, t.tensor([0]))
x.gather(1, t.tensor([[0.]]))
x.gather(1, t.zeros(5, 1, dtype=t.int64))
x.scatter(1, t.zeros(3, 5, dtype=t.int64), x)
x.scatter(1, t.tensor([[9]]), x)
x.scatter(1, t.tensor([[0]]), x.float())
x.scatter_reduce(1, t.tensor([[0]]), x, 'foo')
x.take(t.tensor([99]))
x.take(t.tensor([1.]))
x.index_add(0, t.tensor([0, 1]), x)
x.index_add(0, t.tensor([7]), x[:1])
x.index_copy(0, t.tensor([0, 1]), x)
x.index_copy(0, t.tensor([7]), x[:1])
x.index_fill(0, t.tensor([9]), 1.)
x.masked_fill(m, z)
x.masked_select(x)
x.masked_scatter(m, z[:1])
x.index_put((t.tensor([0, 1]),), z[:3])
x.index_put((t.tensor([0, 1]),), x[0].float())
x.__setitem__(0, [1., 2., 3., 4.])
x.__setitem__(0, np.ones(4))
x.__setitem__(9, 1.)
x.__setitem__(0, z)
x.__setitem__(t.tensor([9]), 1.)
x.__setitem__(i, z[0].float())
x.__setitem__((i, 0), t.tensor(1))
x.__setitem__(m, z[:4].float())
x.masked_fill(m, t.tensor(1j))
x.masked_fill(m, 1j)
t.zeros(3, dtype=t.int64).exponential_()
t.zeros(3, dtype=t.int64).cauchy_()
t.zeros(3, dtype=t.int64).log_normal_()
t.zeros(3, dtype=t.bool).geometric_(0.5)
t.max(x, 0, out=(x[0], t.zeros(4, dtype=t.int64)))
t.mode(x, 0, out=(x[0], t.zeros(4, dtype=t.int64)))
t.zeros(2, 3).fill_(z)
t.zeros(2, 3).copy_(t.zeros(4))
t.zeros(6).fill_diagonal_(1.)
""".strip().split("\n")


def tensors(dtype: Any = None) -> list[Any]:
    return [
        draw(3, 4, dtype=dtype),
        draw(2, 3, 4, dtype=dtype, seed=1),
        draw(5, dtype=dtype, seed=2),
    ]


def _with_operands(text: str) -> Case:
    def run(t: Any, x: Any, y: Any, z: Any) -> list[Any]:
        result = case(text)(t, x, y, z)
        return [result * result, x * 1.0, y * 1.0, z * 1.0]

    return run


@pytest.mark.parametrize("text", GETITEM + FUNCTIONS)
def test_value_and_gradients(text: str) -> None:
    check_values(case(text), *tensors())
    if "scatter_reduce" in text:
        check_gradients(_with_operands(text), *tensors(), second="prod" not in text, names=False)
        return
    check_gradients(_with_operands(text), *tensors(), names=False)


@pytest.mark.parametrize(
    "text", [f for f in GETITEM + FUNCTIONS if not any(word in f for word in RENAMED)]
)
def test_grad_names(text: str) -> None:
    theirs = case(text)(torch, *[x.requires_grad_() for x in tensors()])
    ours = case(text)(MINE, *[mine_of(x).requires_grad_() for x in tensors()])
    assert ours._meta.grad_name == type(theirs.grad_fn).__name__


@pytest.mark.parametrize("text", PLAIN)
def test_plain(text: str) -> None:
    check_values(case(text), *tensors())


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    def computed(t: Any, x: Any, y: Any, z: Any) -> None:
        result = case(text)(t, x, y, z)
        if t is MINE:
            (x if result is None else result).tolist()

    check_error(computed, *tensors())


def test_repeated_factors_of_a_product_with_zeros() -> None:
    rows = torch.tensor([[0.0, 2.0, 3.0, 0.0], [0.0, 5.0, 0.0, 7.0]], dtype=torch.float64)
    index = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])
    ct = draw(2, 4)
    for include in (True, False):
        theirs, ours = rows.clone().requires_grad_(), mine_of(rows).requires_grad_()
        start = draw(2, 4, seed=5)
        start.scatter_reduce(1, index, theirs, "prod", include_self=include).backward(ct)
        mine_of(start).scatter_reduce(
            1, mine_of(index), ours, "prod", include_self=include
        ).backward(mine_of(ct))
        same(ours.grad, theirs.grad, "gradient of a product with zeros")


WRITES = """
x[0] = 1.5
x[1:, ::2] = 2
x[:, 1] = z[:3]
x[...] = y[0]
x[None, 0] = z[:4]
x[0, 1] = z[0]
x[1] = y[:1, :1]
x[i] = 3.
x[:, i] = y[0, :, :3]
x[i, i] = z[:3]
x[j, :] = z[:4]
x[j, i] = -1.
x[[0, 2]] = y[0, :2]
x[m] = 0.
x[m] = z[1]
x[m] = z[1:2].float()
x.index_put_((m,), z[1].float())
x[m] = z[:4]
x[m[:, 1]] = z[:4]
x[m[:, 1]] = y[0, :1]
x[:, m[0]] = 5.
x[x > 0] = -2.
x[0, m[1]] = 7.
x[True] = 4.
x[i[:0]] = 4.
x[1] += z[:4]
x[i[:2]] *= 2.
x.index_put_((i,), z[:4])
x.index_put_((t.tensor([0, 0]),), z[:4], accumulate=True)
x.scatter_(1, t.tensor([[0], [1], [2]]), y[0, :, :1])
x.scatter_(1, t.tensor([[0], [1], [2]]), 2.5)
x.scatter_add_(0, t.tensor([[0, 0, 1, 2]]), y[0, :1])
x.scatter_reduce_(1, t.tensor([[0, 0], [1, 1]]), y[0, :2, :2], 'amax')
x.index_add_(0, t.tensor([0, 0]), y[0, :2])
x.index_copy_(1, t.tensor([3, 0]), y[0, :, :2])
x.index_fill_(0, t.tensor([1]), 9.)
x.masked_fill_(m, 0.5)
x.masked_scatter_(m, y)
x.put_(t.tensor([0, 5]), z[:2])
x.copy_(z[:4])
x.fill_(z[0])
x.zero_()
x.t()[1:, i] = 8.
x.t()[i, 0] = z[:3]
""".strip().split("\n")


@pytest.mark.parametrize("text", WRITES)
@pytest.mark.parametrize("history", ["data", "recorded", "graph"])
def test_writes(text: str, history: str) -> None:
    def run(t: Any, x: Any, y: Any, z: Any) -> list[Any]:
        leaves = [x, y, z]
        if history == "graph":
            leaves = [v.requires_grad_() for v in leaves]
            x, y, z = (v * 2 for v in leaves)
        elif history == "recorded":
            x = x * 2
        other = x[:, 1:]
        mask = t.tensor((np.arange(12).reshape(3, 4) % 3 == 1).tolist())
        names = {
            "t": t,
            "x": x,
            "y": y,
            "z": z,
            "m": mask,
            "i": t.tensor([0, -1, 1]),
            "j": t.tensor([[1], [0]]),
            "np": np,
        }
        exec(text, names)
        results = [x, other * 1]
        if history == "graph":
            (x * x).sum().backward()
            results += [v.grad if v.grad is not None else t.zeros_like(v) for v in leaves]
        return [r.detach() for r in results]

    data = tensors()
    theirs = run(torch, *[v.clone() for v in data])
    ours = run(MINE, *[mine_of(v) for v in data])
    for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        same(a, b, f"{text}: result {place}")


def test_a_mask_assigned_a_number_reads_nothing_on_the_host() -> None:
    x = mine_of(draw(3, 4)) * 2
    x[x > 0] = 0.0
    x[x[:, 0] > 0] = mine_of(draw(4))
    x[x < -1] = mine_of(draw(1))
    assert x._storage is None, "the assignments ran the recording"
    assert recorder.LOCAL.rec.state.parent is not None
    assert not (x._values() > 0).sum() > 8


def test_random_indices() -> None:
    rng = np.random.default_rng(7)
    data = draw(4, 5, 3)
    x = mine_of(data)
    for _ in range(60):
        parts: list[Any] = []
        for extent in (4, 5, 3)[: rng.integers(1, 4)]:
            kind = rng.integers(6)
            if kind == 0:
                parts.append(int(rng.integers(-extent, extent)))
            elif kind == 1:
                start = int(rng.integers(-extent, extent))
                parts.append(slice(start, None, int(rng.integers(1, 3))))
            elif kind == 2:
                parts.append(rng.integers(-extent, extent, (2, 1) if rng.integers(2) else (2,)))
            elif kind == 3:
                parts += [None, slice(None)]
            elif kind == 4 and Ellipsis not in [p for p in parts if not isinstance(p, np.ndarray)]:
                parts.append(slice(None, extent - 1))
            else:
                parts.append(slice(None))
        theirs = data[tuple(torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in parts)]
        ours = x[tuple(MINE.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)]
        same(ours, theirs, repr(parts), strides=not any(isinstance(p, np.ndarray) for p in parts))


@pytest.mark.parametrize("index", ([[0], [1]], [slice(0, 1), 0], [None, 0], [0, 1], [True, False]))
def test_lists_that_stand_for_tuples_are_warned_of(index: Any) -> None:
    def warned(library: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            library.ones(2, 3)[index]
        return [str(w.message).partition(" (Triggered")[0] for w in given]

    assert warned(flambeau) == warned(torch)
