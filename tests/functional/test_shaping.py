"""Shapes, views, joins and rearrangements against PyTorch: values, gradients, aliasing, errors."""

from __future__ import annotations

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

from flambeau.functional import shaping
from flambeau.record import recorder

pytestmark = pytest.mark.parity


def F(library: Any) -> Any:
    return torch.nn.functional if library is torch else shaping


def case(text: str) -> Case:
    """A row of a table: an expression of t (the library) and tensors."""
    made: Case = eval(f"lambda t, x, y=None, z=None: {text}", {"F": F})
    return made


# x [3, 4], y [2, 3, 4], z [5]
DIFFERENTIABLE = """
x.reshape(12)
x.t().reshape(12)
x.reshape(2, -1)
x.reshape((2, 3, 2)).reshape(x.shape)
x.view(4, 3)
x.view(-1)
x.view_as(y[0])
x.reshape_as(y[1])
x.flatten()
x.t().flatten()
y.flatten(1)
y.flatten(0, 1)
y.transpose(0, 2).flatten(1)
y.unflatten(2, (2, 2))
y.unflatten(-1, (2, -1))
x.ravel()
x.t().ravel()
y[:, None].squeeze()
y[:, None].squeeze(1)
y[:, None].squeeze(0)
y[None, :, None].squeeze((0, 2))
x.unsqueeze(0)
x.unsqueeze(-1)
y.permute(2, 0, 1)
y.permute((1, -1, 0))
t.permute(y, (1, 0, 2))
y.transpose(0, -1)
x.swapaxes(0, 1)
x.t()
x.T
y.mT
x.H
y.movedim(0, 1)
t.movedim(y, (0, 1), (-1, 0))
x.expand(2, 3, 4)
x.expand(1, -1, 4)
x[:1].expand(5, 4)
x[:, None].expand(-1, 2, -1)
x.expand_as(y)
t.broadcast_to(x, (2, 3, 4))
x.repeat(2, 1)
x.repeat(2, 1, 3)
x.tile(2)
x.tile(2, 1, 2)
t.repeat_interleave(x, 2)
t.repeat_interleave(x, 3, dim=1)
t.repeat_interleave(x, t.tensor([1, 2, 0]), dim=0)
t.cat([x, x * 2])
t.cat((x, y[0], x), 1)
t.cat([y, y], dim=-1)
t.stack([x, x * 3])
t.stack([x, y[0]], -1)
t.hstack([x, x])
t.hstack([z, z])
t.vstack([z, z * 2])
t.dstack([x, x])
t.column_stack([x, x[:, 0]])
x.split(2)
x.split(3, 1)
x.split([1, 3], 1)
x.chunk(2, 1)
z.chunk(3)
t.tensor_split(z, 3)
t.tensor_split(z, (1, 3))
t.tensor_split(x, [2], dim=1)
x.unbind()
y.unbind(1)
x.narrow(1, 1, 2)
x.narrow(0, -2, 1)
x.select(0, 1)
x.select(1, -1)
x.flip(0)
x.flip(0, 1)
t.fliplr(x)
t.flipud(x)
t.roll(x, 1)
t.roll(x, (1, -3), (0, 1))
t.rot90(x)
t.rot90(x, 2)
t.rot90(x, -1)
t.rot90(y, 1, (1, 2))
x.tril()
x.triu(1)
y.tril(-1)
z.diag()
z.diag(-1)
x.diag()
x.diagonal(1)
x.diagonal(-2)
y.diagonal(0, 1, 2)
y.diagonal(1, 2, 0)
x.diag_embed()
x.diag_embed(1, 0, 2)
t.diagflat(x)
x.as_strided((2, 2), (1, 2))
x.as_strided((2, 2), (4, 1), 1)
x.as_strided((3, 3), (1, 1))
z.unfold(0, 2, 1)
y.unfold(1, 2, 1)
y.unfold(2, 2, 2)
t.meshgrid(z, z * 2, indexing='ij')
t.meshgrid(z, x[0], indexing='xy')
t.cartesian_prod(z, z)
t.combinations(z)
t.combinations(z, 3)
t.combinations(z, 2, True)
t.atleast_1d(z)
t.atleast_2d(z)
t.atleast_3d(z)
t.atleast_3d(x)
t.block_diag(x, z, y[0])
t.broadcast_tensors(x, y)
F(t).pad(x, (1, 2))
F(t).pad(y, (1, 0, 2, 1), 'constant', 1.5)
F(t).pad(y, (-1, 1))
F(t).pad(x, (0, 0))
F(t).pad(x, (1, 1), mode='reflect')
F(t).pad(y, (2, 1), mode='reflect')
F(t).pad(y, (2, 1), mode='replicate')
F(t).pad(y, (2, 1), mode='circular')
F(t).pad(y[None], (1, 2, 2, 1), mode='reflect')
F(t).pad(y[None], (1, 2, 2, 1), mode='replicate')
F(t).pad(y[None], (1, 2, 2, 1), mode='circular')
F(t).pad(y[None, None], (1, 2, 2, 1, 1, 1), mode='reflect')
""".strip().split("\n")
OTHER_NAMES = {
    "circular",
    "repeat_interleave",
    "meshgrid",
    "cartesian_prod",
    "combinations",
    "column_stack",
    "mode",
}

PLAIN = """
t.cat([x, t.tensor([])])
t.cat([t.tensor([1, 2]), t.tensor([1.5])])
t.stack([t.tensor([1, 2]), t.tensor([True, False])])
x[:0].reshape(2, 0)
x[:0].unbind(1)
x[:0].flip(0)
t.tensor(2.).flatten()
t.tensor(2.).reshape(1, 1)
t.tensor([2.]).squeeze()
x.contiguous()
y.permute(2, 0, 1).contiguous()
y.view(y.shape)
x.float().view(t.int32)
x.view(t.float32)
x.float().view(t.float64)
t.repeat_interleave(t.tensor([1, 2, 0]))
F(t).one_hot(t.tensor([[0, 2], [1, 1]]))
F(t).one_hot(t.tensor([0, 2]), 5)
F(t).pad(t.tensor([1, 2]), (1, 1), value=7)
F(t).pad(t.tensor([True]), (1, 1), value=True)
t.cartesian_prod(t.tensor([1, 2]), t.tensor([3, 4]))
x.diagonal(4)
x.diagonal(9)
x.split(7)
x[:0].split(2)
x.unfold(0, 1, 5)
t.block_diag(t.tensor([[1]]), t.tensor([2., 3.]))
""".strip().split("\n")

ERRORS = """
x.reshape(5)
x.view(-1, 5)
x.view(-1, -1)
x.t().view(12)
y.unflatten(2, (2, 3))
x.flatten(1, 0)
x.unsqueeze(5)
x.squeeze(3)
x.permute(0)
x.permute(0, 0)
x.transpose(0, 2)
y.t()
z.mT
x.expand(3)
x.expand(3, 5)
x.expand(-1, 3, 4)
x.repeat(2)
t.cat([])
t.cat([x, z])
t.cat([x, x[:, :2]])
t.cat([x, t.tensor(1.)])
t.stack([])
t.stack([x, z])
x.split([1, 1])
x.split(0)
x.chunk(0)
x.narrow(0, 1, 5)
x.select(0, 5)
t.tensor(3.).unbind()
z.tril()
y.diag()
x.diagonal(0, 0, 0)
x.unfold(0, 5, 1)
x.unfold(0, 1, 0)
x.as_strided((9, 9), (9, 9))
F(t).pad(x, (1,))
F(t).pad(x, (1, 1, 1, 1, 1, 1))
F(t).pad(y, (5, 1), mode='reflect')
F(t).pad(y, (5, 1), mode='circular')
F(t).one_hot(t.tensor([3]), 2)
F(t).one_hot(x)
x.float().t().view(t.float64)
x.movedim((0, 1), (0,))
x[None] + y[:1].transpose(1, 2)[:, :, :2]
t.randn(2, 6, 5) + t.randn(7, 6)
t.randn(2, 6, 5).add_(t.randn(7, 6))
t.where(x > 0, z, y)
t.lerp(x, x, y[:, :2])
t.broadcast_tensors(x, y, z)
t.broadcast_shapes((2, 6, 5), (7, 6))
t.broadcast_shapes((3, 1), 4, (2, 3))
t.conv2d(t.ones(1, 4, 3, 3), t.ones(1, 2, 1, 1), groups=2)
t.conv2d(t.ones(1, 4, 3, 3), t.ones(3, 2, 1, 1), groups=2)
t.conv2d(t.ones(1, 8, 3, 3), t.ones(0, 8, 1, 1))
""".strip().split("\n")


def tensors(dtype: Any = None) -> list[Any]:
    return [
        draw(3, 4, dtype=dtype),
        draw(2, 3, 4, dtype=dtype, seed=1),
        draw(5, dtype=dtype, seed=2),
    ]


@pytest.mark.parametrize("text", DIFFERENTIABLE)
def test_value_and_gradients(text: str) -> None:
    check_values(case(text), *tensors())
    turned = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in tensors(torch.int64)]
    if ".view(" in text:
        check_error(case(text), *turned)
    else:
        check_values(case(text), *turned)
    names = not any(word in text for word in OTHER_NAMES)
    check_gradients(
        lambda t, x, y, z: _all_used(case(text)(t, x, y, z), x, y, z), *tensors(), names=False
    )
    if names:
        check_names(text)


def _all_used(result: Any, *operands: Any) -> list[Any]:
    parts = list(result) if isinstance(result, (tuple, list)) else [result]
    return [p * p for p in parts] + [x * 1.0 for x in operands]


def check_names(text: str) -> None:
    theirs = case(text)(torch, *[x.requires_grad_() for x in tensors()])
    ours = case(text)(MINE, *[mine_of(x).requires_grad_() for x in tensors()])
    for a, b in zip(
        ours if isinstance(ours, tuple) else [ours],
        theirs if isinstance(theirs, tuple) else [theirs],
        strict=True,
    ):
        if not b.is_leaf:
            assert a._meta.grad_name == type(b.grad_fn).__name__


@pytest.mark.parametrize("text", PLAIN)
def test_plain(text: str) -> None:
    check_values(case(text), *tensors())


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    def computed(t: Any, *operands: Any) -> None:
        result = case(text)(t, *operands)
        if t is MINE:
            result.tolist()

    check_error(computed, *tensors())


WRITES = """
x.t()[1].fill_(3.)
x.view(-1)[2:5].zero_()
x[1:, ::2].copy_(y[0, 1:, :2])
x.diagonal().fill_(7.)
x.unbind(1)[2].mul_(2.)
x.split(2)[1].add_(1.)
x.unsqueeze(0)[0, :, 1].sub_(3.)
x.as_strided((2, 2), (4, 1), 1).fill_(5.)
x.permute(1, 0).flatten().fill_(9.)
x.narrow(1, 1, 2).copy_(y[0, :, :1])
x.unfold(1, 2, 2)[0, 1].fill_(-1.)
x.squeeze().t_().fill_(0.)
x.fill_diagonal_(4.)
x.select(0, 1)[1:].neg_()
x.expand(1, 3, 4)[0].add_(y[1])
""".strip().split("\n")


@pytest.mark.parametrize("text", WRITES)
@pytest.mark.parametrize("history", ["data", "recorded", "graph", "view first"])
def test_writes_through_views(text: str, history: str) -> None:
    """A write through a view shows in the base and in other views, before and after a flush."""
    if history == "graph" and ("unbind" in text or "split" in text):
        pytest.skip("PyTorch refuses to write through one of several views that autograd watches")

    def run(t: Any, x: Any, y: Any) -> list[Any]:
        leaf = x
        if history == "graph":
            leaf = x.requires_grad_()
        if history != "data":
            x = leaf * 2
        other = x[:, 1:]
        if history == "view first" and t is MINE:
            recorder.flush()
        case(text)(t, x, y)
        results = [x, other, x + 1, other * 2]
        if history == "graph":
            (x * x).sum().backward()
            results.append(leaf.grad)
        other.zero_()
        return [r.detach() for r in [*results, x, other]]

    base, source, _ = tensors()
    theirs = run(torch, base.clone(), source)
    ours = run(MINE, mine_of(base), mine_of(source))
    for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        same(a, b, f"{text}: result {place}")


def test_a_write_to_the_base_shows_in_views_across_flushes() -> None:
    base = mine_of(draw(4, 6))
    view, part = base.t(), base[1:3]
    want = draw(4, 6).numpy().copy()
    for step in range(4):
        base.add_(1.0)
        part.mul_(2.0)
        want += 1
        want[1:3] *= 2
        if step % 2:
            recorder.flush()
        np.testing.assert_allclose(view._values(), want.T)
    np.testing.assert_allclose(part._values(), want[1:3])


def test_views_at_falling_offsets_meet_in_one_op() -> None:
    data = draw(9)
    x = mine_of(data)
    parts = [x[6:], x[3:6], x[:3]]
    total = parts[0] + parts[1] * parts[2]
    np.testing.assert_allclose(total._values(), (data[6:] + data[3:6] * data[:3]).numpy())


def test_views_of_two_dtypes_meet_in_one_op() -> None:
    data = draw(4, dtype=torch.float32)
    x = mine_of(data)
    bits = x.view(MINE.int32)
    same(bits + x.view(MINE.int32), data.view(torch.int32) * 2, "bits")
    same(x * 0 + bits, data * 0 + data.view(torch.int32), "both")
    bits.zero_()
    same(x, torch.zeros(4), "written through the bits")


def test_changes_of_a_tensors_own_layout() -> None:
    def run(t: Any, x: Any) -> list[Any]:
        made = []
        for source in (x, x * 2):
            y = source
            y.unsqueeze_(0)
            y.add_(1.0)
            made.append(y * 1)
            y.squeeze_().t_()
            made.append(y * 1)
            y.transpose_(0, 1).mul_(3.0)
            made += [y, source]
        return made

    data = draw(3, 4)
    theirs, ours = run(torch, data.clone()), run(MINE, mine_of(data))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, "in-place layout")


def test_set_data_keeps_the_leaf() -> None:
    x, y = draw(3), draw(2, 2, seed=3)
    leaf, other = x.clone().requires_grad_(), mine_of(x).requires_grad_()
    for library, p in ((torch, leaf), (MINE, other)):
        (p * p).sum().backward()
        value = y.clone() if library is torch else mine_of(y)
        p.data = value
        assert p.requires_grad and p.is_leaf
        p.grad = None
        (p * p * p).sum().backward()
        value.add_(1.0)
    same(other.grad, leaf.grad, "gradient of the new data")
    same(other.detach(), leaf.detach(), "shared with the value")


def test_resize() -> None:
    data = draw(2, 3)
    theirs, ours = data.clone(), mine_of(data)
    for library in (theirs, ours):
        library.resize_(3)
        library.mul_(2.0)
        library.resize_(2, 3)
    same(ours, theirs, "shrunk and back")
    ours.resize_(4, 4)
    np.testing.assert_allclose(ours._values().ravel()[:6], theirs.numpy().ravel())
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        mine_of(data).requires_grad_().resize_(7)
