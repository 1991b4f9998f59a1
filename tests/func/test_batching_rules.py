"""Functions under vmap against a loop over slices: each kind of primitive, in every combination of
operands that have slices and operands that have none; values and gradients, recorded and compiled.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import nn
from flambeau.func import grad, vmap
from flambeau.nn import functional as F

SLICES = 3
INDEX = {"index": (6,), "rows": (2, 3), "one": ()}


def _norm(kind: Any, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    layer = kind(*args, **kwargs).double()
    return lambda x: layer(x)


def _put(x: Any, y: Any) -> Any:
    z = x.clone()
    z[1:] = y
    z[0] *= 2
    z.t()[0] += 1
    return z


def _view_written(x: Any) -> Any:
    z = x * 1
    z.view(-1)[::2] = 0
    z.diagonal().mul_(3)
    return z + z.unfold(1, 2, 1).sum((1, 2), keepdim=True).squeeze(-1)


def _accumulated(x: Any) -> Any:
    total = flambeau.zeros(3, dtype=x.dtype)
    for row in x:
        total += row
    return total


def _attend(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v)


def _attend_causally(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _attend_masked(q: Any, k: Any, v: Any) -> Any:
    mask = flambeau.ones(4, 5, dtype=flambeau.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _embed(index: Any, table: Any) -> Any:
    return F.embedding(index, table) * 2


# The function, and the shapes of its operands (a name of `INDEX`: places among 3).
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elementwise": (lambda x, y: (x.sin() * y + 2).exp() / (1 + x * x), ((3, 4), (4,))),
    "numbers": (lambda x: 2 - x / 3 + x**2 + (x > 0) * 1.5, ((5,),)),
    "no axes": (lambda x, y: x * y.sum() + x.cumsum(0) + flambeau.sort(x)[0], ((), (2,))),
    "where": (lambda x, y: flambeau.where(x > y, x, y * 2), ((3, 2), (3, 1))),
    "clamp": (lambda x: x.clamp(-0.5, 0.5).abs(), ((4,),)),
    "complex": (lambda x, y: (flambeau.complex(x, y) * 2j).abs(), ((3,), (3,))),
    "special": (lambda x: flambeau.special.i0e(x) + flambeau.lgamma(x + 9), ((3,),)),
    "sum": (lambda x: x.sum() + x.sum(1) + x.mean((0, 2)), ((2, 3, 3),)),
    "prod": (lambda x: x.prod(1), ((2, 3),)),
    "extrema": (lambda x: x.amax(1) + x.max(0)[0].sum() + x.min(), ((2, 3),)),
    "argmax": (lambda x: x.argmax(1) * x.sum(1), ((2, 3),)),
    "moments": (lambda x: x.var(1) + x.std(0).sum() + x.logsumexp(1), ((3, 4),)),
    "norm": (lambda x: x.norm() + flambeau.linalg.vector_norm(x, 3, dim=1), ((3, 4),)),
    "views": (lambda x: x.permute(2, 0, 1).reshape(4, -1)[:, ::2].t().unsqueeze(1), ((2, 3, 4),)),
    "expand": (lambda x: x.unsqueeze(0).expand(4, 3) * x.unsqueeze(1).expand(3, 4).t(), ((3,),)),
    "slices": (lambda x: x[1:, -1] + x[:-1, 0] + x.narrow(0, 0, 2).sum(), ((3, 4),)),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1)) + F.pad(x, (0, 3, 0, 1), "replicate"), ((2, 3, 3),)),
    "flip": (lambda x: x.flip(0, 1).roll(1, 0).rot90(), ((3, 4),)),
    "cat": (lambda x, y: flambeau.cat([x, y, x], 1), ((2, 3), (2, 2))),
    "stack": (lambda x, y: flambeau.stack([x, y], -1), ((2, 3), (2, 3))),
    "split": (lambda x: sum(p.sum(0) * k for k, p in enumerate(x.split(2, 0), 1)), ((6, 2),)),
    "as_strided": (lambda x: (x * 1).as_strided((2, 3), (1, 2), 1) * 2, ((8,),)),
    "unfold": (lambda x: x.unfold(0, 3, 2).prod(-1), ((7,),)),
    "diagonal": (lambda x: x.diagonal() + x.trace() + flambeau.diag(x).prod(), ((3, 3),)),
    "tril": (lambda x: x.tril() @ x.triu(1), ((3, 3),)),
    "written": (_put, ((3, 4), (4,))),
    "views written": (_view_written, ((4, 4),)),
    "accumulated": (_accumulated, ((2, 3),)),
    "dot": (flambeau.dot, ((4,), (4,))),
    "mv": (flambeau.mv, ((3, 4), (4,))),
    "mm": (flambeau.mm, ((3, 4), (4, 2))),
    "vector by matrix": (flambeau.matmul, ((4,), (4, 2))),
    "bmm": (flambeau.bmm, ((2, 3, 4), (2, 4, 2))),
    "broadcast product": (flambeau.matmul, ((2, 1, 3, 4), (5, 4, 2))),
    "outer": (flambeau.outer, ((3,), (4,))),
    "linear": (F.linear, ((2, 3), (4, 3), (4,))),
    "bilinear": (F.bilinear, ((2, 3), (2, 4), (5, 3, 4))),
    "einsum": (lambda x, y: flambeau.einsum("ij,kj->ik", x, y), ((2, 3), (4, 3))),
    "conv1d": (lambda x, w: F.conv1d(x, w, padding=1), ((2, 3, 6), (4, 3, 3))),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=2), ((2, 3, 6, 6), (4, 3, 3, 3), (4,))),
    "one image": (lambda x, w: F.conv2d(x, w), ((3, 6, 6), (4, 3, 3, 3))),
    "grouped": (lambda x, w: F.conv2d(x, w, groups=2), ((2, 4, 5, 5), (6, 2, 2, 2))),
    "transposed": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1),
        ((2, 3, 4, 4), (3, 2, 3, 3)),
    ),
    "conv3d": (lambda x, w: F.conv3d(x, w, dilation=2), ((1, 2, 5, 5, 5), (3, 2, 2, 2, 2))),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), ((2, 3, 6, 6),)),
    "one image's pool": (lambda x: F.max_pool2d(x, 2), ((3, 4, 4),)),
    "avg_pool": (lambda x: F.avg_pool2d(x, 2) + F.adaptive_avg_pool2d(x, 1), ((2, 3, 4, 4),)),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), ((1, 2, 3, 3),)),
    "take": (lambda i, x: x[i], ("index", (3, 2))),
    "take twice": (lambda i, j, x: x[i, j % 2], ("index", "index", (3, 2))),
    "one place": (lambda i, x: x[i], ("one", (3, 2))),
    "embedding": (_embed, ("rows", (3, 4))),
    "gather": (lambda i, x: x.gather(1, i), ("rows", (2, 3))),
    "scatter": (lambda i, x, y: x.scatter(1, i, y), (("rows"), (2, 3), (2, 3))),
    "scatter_add": (lambda i, x, y: x.scatter_add(1, i, y), ("rows", (2, 3), (2, 3))),
    "scatter_reduce": (
        lambda i, x, y: x.scatter_reduce(0, i, y, "amax"),
        ("index", (3,), (6,)),
    ),
    "index_add": (lambda i, x, y: x.index_add(0, i, y), ("index", (3, 2), (6, 2))),
    "index_put": (lambda i, x, y: x.index_put((i,), y, accumulate=True), ("index", (3,), (6,))),
    "index_select": (lambda i, x: x.index_select(1, i), ("index", (2, 3))),
    "one_hot": (lambda i, x: F.one_hot(i, 3) * x, ("index", (3,))),
    "softmax": (lambda x: F.softmax(x, 1) + F.log_softmax(x, 0), ((3, 4),)),
    "losses": (
        lambda x, y: F.mse_loss(x, y) + F.smooth_l1_loss(x, y) + F.l1_loss(x, y),
        ((4,), (4,)),
    ),
    "cross_entropy": (lambda i, x: F.cross_entropy(x, i), ("index", (6, 3))),
    "one row's loss": (lambda i, x: F.nll_loss(x.log_softmax(0), i), ("one", (3,))),
    "binary losses": (
        lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()),
        ((4,), (4,)),
    ),
    "layer_norm": (lambda x, w: F.layer_norm(x, (4,), w), ((3, 4), (4,))),
    "group_norm": (lambda x: F.group_norm(x, 2), ((2, 4, 3),)),
    "instance_norm": (lambda x: F.instance_norm(x), ((2, 3, 4),)),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), ((4, 3),)),
    "batch_norm layer": (_norm(nn.BatchNorm1d, 3, track_running_stats=False), ((4, 3),)),
    "rms_norm": (lambda x: F.rms_norm(x, (4,)), ((3, 4),)),
    "activations": (lambda x: F.gelu(x) + F.silu(x) + F.elu(x) + F.softplus(x), ((5,),)),
    "attention": (_attend, ((1, 2, 4, 3), (1, 2, 5, 3), (1, 2, 5, 3))),
    "causal attention": (_attend_causally, ((2, 2, 4, 3), (2, 2, 4, 3), (2, 2, 4, 3))),
    "masked attention": (_attend_masked, ((2, 4, 3), (2, 5, 3), (2, 5, 3))),
    "cumsum": (lambda x: x.cumsum(1) + x.cumprod(0) + x.cummax(1)[0], ((3, 4),)),
    "logcumsumexp": (lambda x: x.logcumsumexp(0), ((3, 4),)),
    "sort": (lambda x: x.sort(1)[0] * flambeau.arange(4) + x.topk(2, 0)[0].sum(), ((3, 4),)),
    "median": (lambda x: x.median(1)[0] + x.kthvalue(2, 1)[0] + x.quantile(0.3), ((3, 5),)),
    "fft": (
        lambda x: flambeau.fft.rfft(x, dim=0).abs() + flambeau.fft.fft2(x).abs()[:3],
        ((4, 3),),
    ),
    "inverse": (lambda x: flambeau.linalg.inv(x @ x.t() + flambeau.eye(3)), ((3, 3),)),
    "solve": (lambda x, y: flambeau.linalg.solve(x @ x.t() + flambeau.eye(3), y), ((3, 3), (3, 2))),
    "det": (lambda x: flambeau.linalg.det(x) + flambeau.linalg.slogdet(x)[1], ((3, 3),)),
    "cholesky": (lambda x: flambeau.linalg.cholesky(x @ x.t() + flambeau.eye(3)), ((3, 3),)),
    "eigh": (lambda x: flambeau.linalg.eigvalsh(x + x.t()), ((3, 3),)),
    "svdvals": (lambda x: flambeau.linalg.svdvals(x), ((3, 2),)),
    "matrix_exp": (lambda x: flambeau.linalg.matrix_exp(x), ((3, 3),)),
    "unchecked detach": (lambda x: x * x.detach() + (x * 2).detach(), ((3,),)),
    "cdist": (lambda x, y: flambeau.cdist(x, y), ((3, 2), (4, 2))),
    "cosine": (lambda x, y: F.cosine_similarity(x, y), ((3, 4), (3, 4))),
}


def _operand(shape: Any, seed: int, slices: bool) -> Any:
    rng = np.random.default_rng(seed)
    lead = (SLICES,) if slices else ()
    if isinstance(shape, str):
        return flambeau.tensor(rng.integers(0, 3, (*lead, *INDEX[shape])))
    return flambeau.tensor(rng.standard_normal((*lead, *shape)))


def _combinations() -> list[Any]:
    found = []
    for name, (_, shapes) in CASES.items():
        for mapped in itertools.product((True, False), repeat=len(shapes)):
            if any(mapped):
                words = " ".join("all" if m else "one" for m in mapped)
                found.append(pytest.param(name, mapped, id=f"{name}: {words}"))
    return found


@pytest.mark.parametrize(("name", "mapped"), _combinations())
def test_like_a_loop(name: str, mapped: tuple[bool, ...]) -> None:
    function, shapes = CASES[name]
    calls = 0

    def counted(*operands: Any) -> Any:
        nonlocal calls
        calls += 1
        return function(*operands)

    for seed in range(3):  # in the reference executor, then compiled
        operands = [_operand(s, 10 * seed + k, m) for k, (s, m) in enumerate(zip(shapes, mapped))]
        floats = [x for x in operands if x.is_floating_point()]
        axes = tuple(0 if m else None for m in mapped)

        def loop(operands: Any = operands) -> Any:
            rows = [
                function(*[x[k] if m else x for x, m in zip(operands, mapped)])
                for k in range(SLICES)
            ]
            return flambeau.stack(rows)

        def batched(operands: Any = operands, axes: Any = axes) -> Any:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "There is a performance drop")
                return vmap(counted, in_dims=axes)(*operands)

        results = []
        for way in (batched, loop):
            for x in floats:
                x.requires_grad_().grad = None
            y = way()
            weights = flambeau.linspace(-1, 2, y.numel(), dtype=flambeau.float64).reshape(y.shape)
            (y * weights).sum().backward()
            results.append([y.detach().numpy(), *[x.grad.numpy() for x in floats]])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
            assert one.shape == other.shape and one.dtype == other.dtype
    assert calls == 3


SMOOTH = [
    name
    for name, (_, shapes) in CASES.items()
    if not any(isinstance(s, str) for s in shapes) and name not in ("argmax", "svdvals")
]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_inside_like_a_loop(name: str) -> None:
    function, shapes = CASES[name]
    operands = [_operand(s, k, True) for k, s in enumerate(shapes)]
    places = tuple(range(len(shapes)))

    def scalar(*given: Any) -> Any:
        y = function(*given)
        return (y * flambeau.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()

    def second(*given: Any) -> Any:
        return sum((g * g).sum() for g in grad(scalar, places)(*given))

    first = vmap(grad(scalar, places))(*operands)
    then = vmap(grad(second, places))(*operands) if name not in ("eigh",) else ()
    for found, derivative in ((first, scalar), (then, second)):
        for place, batched in enumerate(part.detach() for part in found):
            rows = [
                grad(derivative, place)(*[x[k] for x in operands]).detach().numpy()
                for k in range(SLICES)
            ]
            np.testing.assert_allclose(batched.numpy(), np.stack(rows), rtol=1e-8, atol=1e-8)


class _TimesTen(flambeau.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * 10


def test_derivatives_in_python() -> None:
    x = flambeau.ones(3, 2, requires_grad=True)
    vmap(lambda row: _TimesTen.apply(row).sum())(x).sum().backward()
    assert x.grad.tolist() == [[10, 10]] * 3
    inside = vmap(grad(lambda row: _TimesTen.apply(row).sum()))(x.detach())
    assert inside.tolist() == [[10, 10]] * 3

    def hooked(row: Any) -> Any:
        doubled = row * 2
        doubled.register_hook(lambda gradient: gradient * 7)
        return doubled.sum()

    x.grad = None
    vmap(hooked)(x).sum().backward()
    assert x.grad.tolist() == [[14, 14]] * 3


def test_what_must_run_goes_slice_by_slice() -> None:
    # A number that is the same for all slices is asked for: nothing may run while a function is
    # recorded on one slice. What was recorded until then, a write among it, is undone.
    x, written = flambeau.arange(6.0).reshape(2, 3), flambeau.zeros(3)
    for step in range(1, 4):
        calls = 0

        def function(row: Any) -> Any:
            nonlocal calls
            calls += 1
            scale = (x * 2).sum()
            written.add_(1)
            return row * scale.item() + written

        before = written.clone()
        found = vmap(function)(x)
        assert calls == 3
        assert written.tolist() == [2 * step] * 3
        wanted = [x[k] * 30 + before + k + 1 for k in range(2)]
        assert found.tolist() == [row.tolist() for row in wanted]


def test_slices_that_are_written() -> None:
    x = flambeau.arange(6.0).reshape(2, 3)

    def function(row: Any) -> Any:
        row[1:] *= 2
        row.add_(1)
        return row.sum()

    assert vmap(function)(x).tolist() == [9, 24]
    assert x.tolist() == [[1, 3, 5], [4, 9, 11]]
    assert (
        vmap(vmap(lambda number: number.mul_(2)), in_dims=1, out_dims=1)(x).tolist() == x.tolist()
    )
    assert x.tolist() == [[2, 6, 10], [8, 18, 22]]


def test_an_error_leaves_the_recording_as_it_was() -> None:
    x = flambeau.arange(6.0).reshape(2, 3)
    y = x * 2
    with pytest.raises(ZeroDivisionError):
        vmap(lambda row: row / (1 // 0))(x)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        vmap(lambda row: row if row.sum() > 3 else -row)(x)
    assert (vmap(lambda row: row.sum())(y) + 1).tolist() == [7, 25]
    assert y.tolist() == (x * 2).tolist()
