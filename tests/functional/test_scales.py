"""Functions of many operands at once with numbers far from 1: values, gradients and second ones.

Held against PyTorch in double precision: no farther from it than PyTorch's own float32 by much.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import flambeau
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.parity

WORSE, FLOOR = 30.0, 3e-5  # than PyTorch's error; what is right anyway (of the largest number)
EXPONENTS = (-10, -6, -3, -1, 0, 1, 2, 3, 6, 10, 14)


class Case(NamedTuple):
    function: Callable[..., Any]  # of a library and operands
    shapes: tuple[tuple[int, ...], ...]
    scaled: int = 1  # so many operands are scaled, the first ones
    positive: tuple[int, ...] = ()


def nn(name: str, **given: Any) -> Callable[..., Any]:
    return lambda t, *x: getattr(t.nn.functional, name)(*x, **given)


def method(name: str, *args: Any, **given: Any) -> Callable[..., Any]:
    return lambda t, x, *more: getattr(x, name)(*more, *args, **given)


def labels(t: Any, *more: Any) -> Any:
    return t.tensor([1, 0, 3, 2, 4, 1])


def attended(t: Any, q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT / 4.0).softmax(-1) @ v


def masked(t: Any, q: Any, k: Any, v: Any) -> Any:
    hidden = t.ones(12, 12).triu(1).bool()
    return (q @ k.mT).masked_fill(hidden, -float("inf")).softmax(-1) @ v


def density(name: str, *numbers: float) -> Callable[..., Any]:
    def logarithm(t: Any, x: Any, *given: Any) -> Any:
        return getattr(t.distributions, name)(*numbers, *given).log_prob(x)

    return logarithm


def rebuilt(t: Any, x: Any) -> Any:
    u, s, v = t.linalg.svd(x, full_matrices=False)
    return (u * s[None]) @ v


ROW, ROWS, MANY = (8,), (6, 8), (40,)
HEADS = ((1, 2, 6, 8),) * 3
WIDE = ((1, 2, 12, 16),) * 3
CASES = {
    "layer_norm": Case(lambda t, x, *p: t.nn.functional.layer_norm(x, (8,), *p), (ROWS, ROW, ROW)),
    "group_norm": Case(
        lambda t, x, *p: t.nn.functional.group_norm(x, 2, *p), ((3, 8, 5), ROW, ROW)
    ),
    "batch_norm": Case(
        lambda t, x, *p: t.nn.functional.batch_norm(x, None, None, *p, True), (ROWS, ROW, ROW)
    ),
    "batch_norm of images": Case(
        lambda t, x, *p: t.nn.functional.batch_norm(x, None, None, *p, True),
        ((6, 8, 4, 4), ROW, ROW),
    ),
    "instance_norm": Case(nn("instance_norm"), ((3, 4, 7),)),
    "rms_norm": Case(lambda t, x, w: t.nn.functional.rms_norm(x, (8,), w, 1e-6), (ROWS, ROW)),
    "local_response_norm": Case(nn("local_response_norm", size=3), ((3, 6, 5),)),
    "softmax": Case(nn("softmax", dim=-1), (ROWS,)),
    "log_softmax": Case(nn("log_softmax", dim=-1), (ROWS,)),
    "logsumexp": Case(method("logsumexp", -1), (ROWS,)),
    "logcumsumexp": Case(method("logcumsumexp", -1), (ROWS,)),
    "cross_entropy": Case(lambda t, x: t.nn.functional.cross_entropy(x, labels(t)), (ROWS,)),
    "smoothed labels": Case(
        lambda t, x: t.nn.functional.cross_entropy(x, labels(t), label_smoothing=0.1), (ROWS,)
    ),
    "attention": Case(nn("scaled_dot_product_attention"), HEADS, 3),
    "causal attention": Case(nn("scaled_dot_product_attention", is_causal=True), WIDE, 3),
    "attention by hand": Case(attended, WIDE, 3),
    "masked attention by hand": Case(masked, WIDE, 3),
    "cosine_similarity": Case(nn("cosine_similarity", dim=-1), (ROWS, ROWS), 2),
    "normalize": Case(nn("normalize", dim=-1), (ROWS,)),
    "pairwise_distance": Case(nn("pairwise_distance"), (ROWS, ROWS), 2),
    "cdist": Case(lambda t, x, y: t.cdist(x, y), (ROWS, (5, 8)), 2),
    "cdist, p = 1": Case(lambda t, x, y: t.cdist(x, y, p=1.0), (ROWS, (5, 8)), 2),
    "cdist, p = 3": Case(lambda t, x, y: t.cdist(x, y, p=3.0), (ROWS, (5, 8)), 2),
    "pdist": Case(nn("pdist"), (ROWS,)),
    "std": Case(method("std", -1), (ROWS,)),
    "var": Case(method("var", -1), (ROWS,)),
    "norm": Case(method("norm", dim=-1), (ROWS,)),
    "norm, p = 3": Case(method("norm", p=3, dim=-1), (ROWS,)),
    "norm, p = 0.5": Case(method("norm", p=0.5, dim=-1), (ROWS,)),
    "norm, p = inf": Case(method("norm", p=float("inf"), dim=-1), (ROWS,)),
    "cumprod": Case(method("cumprod", -1), ((6, 4),)),
    "gelu": Case(nn("gelu"), (MANY,)),
    "softplus": Case(nn("softplus"), (MANY,)),
    "silu": Case(nn("silu"), (MANY,)),
    "mish": Case(nn("mish"), (MANY,)),
    "elu": Case(nn("elu"), (MANY,)),
    "logsigmoid": Case(nn("logsigmoid"), (MANY,)),
    "atan2": Case(lambda t, x, y: t.atan2(x, y), (MANY, MANY), 2),
    "hypot": Case(lambda t, x, y: t.hypot(x, y), (MANY, MANY), 2),
    "logaddexp": Case(lambda t, x, y: t.logaddexp(x, y), (MANY, MANY), 2),
    "rsqrt": Case(method("rsqrt"), (MANY,), positive=(0,)),
    "lgamma": Case(method("lgamma"), (MANY,), positive=(0,)),
    "kl_div": Case(nn("kl_div", reduction="batchmean"), (ROWS, ROWS), 2, (1,)),
    "bce_with_logits": Case(nn("binary_cross_entropy_with_logits"), (MANY, MANY), 1, (1,)),
    "gaussian_nll_loss": Case(nn("gaussian_nll_loss"), (MANY,) * 3, 3, (2,)),
    "huber_loss": Case(nn("huber_loss"), (MANY, MANY), 2),
    "soft_margin_loss": Case(
        lambda t, x, y: t.nn.functional.soft_margin_loss(x, y.sign()), (MANY, MANY), 2
    ),
    "triplet_margin_loss": Case(nn("triplet_margin_loss"), (ROWS,) * 3, 3),
    "cosine_embedding_loss": Case(
        lambda t, x, y: t.nn.functional.cosine_embedding_loss(x, y, t.ones(6)), (ROWS, ROWS), 2
    ),
    "lp_pool1d, p = 2": Case(nn("lp_pool1d", norm_type=2.0, kernel_size=3), ((2, 3, 9),)),
    "lp_pool1d, p = 3": Case(nn("lp_pool1d", norm_type=3.0, kernel_size=3), ((2, 3, 9),)),
    "renorm": Case(method("renorm", 2, 0, 1.0), (ROWS,)),
    "lstm_cell": Case(
        lambda t, x, h, c, *w: t.lstm_cell(x, (h, c), *w)[0],
        ((4, 5), (4, 6), (4, 6), (24, 5), (24, 6)),
        3,
    ),
    "gru_cell": Case(
        lambda t, x, h, *w: t.gru_cell(x, h, *w), ((4, 5), (4, 6), (18, 5), (18, 6)), 2
    ),
    "inv": Case(lambda t, x: t.linalg.inv(x), ((4, 4),)),
    "det": Case(lambda t, x: t.linalg.det(x), ((4, 4),)),
    "slogdet": Case(lambda t, x: t.linalg.slogdet(x)[1], ((4, 4),)),
    "cholesky": Case(lambda t, x: t.linalg.cholesky(x @ x.mT), ((4, 4),)),
    "qr": Case(lambda t, x: t.linalg.qr(x)[1], ((5, 4),)),
    "svd": Case(rebuilt, ((5, 4),)),
    "eigvalsh": Case(lambda t, x: t.linalg.eigvalsh(x + x.mT), ((4, 4),)),
    "solve": Case(lambda t, x, y: t.linalg.solve(x, y), ((4, 4), (4, 2)), 2),
    "lstsq": Case(lambda t, x, y: t.linalg.lstsq(x, y)[0], ((6, 4), (6, 2)), 2),
    "corrcoef": Case(lambda t, x: t.corrcoef(x), ((4, 9),)),
    "Gamma": Case(density("Gamma"), (MANY,) * 3, 3, (0, 1, 2)),
    "StudentT": Case(density("StudentT"), (MANY, MANY), 2, (1,)),
    "VonMises": Case(density("VonMises", 0.0), (MANY, MANY), 2, (1,)),
    "Gumbel": Case(density("Gumbel", 0.0, 1.0), (MANY,)),
}


def results(t: Any, case: Case, dtype: Any, operands: list[Any], drawn: Any) -> list[Any]:
    """The value, the gradients and the second derivatives, as arrays of double precision."""

    def weights(x: Any, turn: int) -> Any:
        return t.tensor(np.resize(drawn[::turn], tuple(x.shape)).astype(np.float32).astype(dtype))

    given = [t.tensor(x.astype(dtype), requires_grad=True) for x in operands]
    value = case.function(t, *given)
    first = t.autograd.grad(
        (value * weights(value, 1)).sum(), given, create_graph=True, allow_unused=True
    )
    sums = [(g * weights(g, -1)).sum() for g in first if g is not None and g.requires_grad]
    second = t.autograd.grad(sum(sums), given, allow_unused=True) if sums else []
    found = [value, *first, *second]
    return [None if x is None else x.detach().numpy().astype(np.float64) for x in found]


def error(found: Any, right: Any) -> float:
    """The largest difference beside the largest number; inf for what one has and not the other."""
    if found is None or right is None:
        return 0.0 if found is right else np.inf
    finite = np.isfinite(right)
    if not np.array_equal(finite, np.isfinite(found)):
        return np.inf
    if not finite.any():
        return 0.0
    most = np.abs(right[finite]).max()
    return float(np.abs(found - right)[finite].max() / max(most, 1e-36))


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_no_worse_than_pytorch(name: str, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", executor)
    case = CASES[name]
    rng = np.random.default_rng(len(name))
    drawn = [rng.standard_normal(shape) for shape in case.shapes]
    drawn = [np.abs(x) if n in case.positive else x for n, x in enumerate(drawn)]
    cotangent = rng.standard_normal(500)
    for exponent in EXPONENTS:
        scale = 10.0**exponent
        operands = [(x * scale if n < case.scaled else x) for n, x in enumerate(drawn)]
        operands = [x.astype(np.float32) for x in operands]
        try:
            right = results(torch, case, np.float64, operands, cotangent)
            theirs = results(torch, case, np.float32, operands, cotangent)
        except (RuntimeError, ValueError):  # (a matrix that is not positive any more)
            continue
        ours = results(flambeau, case, np.float32, operands, cotangent)
        for place, (want, other, found) in enumerate(zip(right, theirs, ours, strict=True)):
            if place == 0:
                np.testing.assert_array_equal(np.isnan(found), np.isnan(other))
            if want is not None and not np.isfinite(want.astype(np.float32)).all():
                continue  # beyond float32, or NaN
            if want is not None and want.size and 0 < np.abs(want).max() < 1e-30:
                continue  # on the way there, numbers are below the smallest
            allowed = max(WORSE * error(other, want), FLOOR)
            assert error(found, want) <= allowed, (exponent, place, error(found, want), allowed)


@pytest.mark.parametrize("features", [2, 16])
@pytest.mark.parametrize("executor", ["reference", "compiled"])
def test_one_weight_that_is_1(
    executor: str, features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that moves the scores a little changes attention then: its gradients are zeros."""
    monkeypatch.setattr(OPTIONS, "executor", executor)
    rng = np.random.default_rng(features)
    for scale in (1e3, 1e5, 1e8):
        arrays = [rng.standard_normal((2, 2, 9, features)) * scale for _ in range(2)]
        q, k, v = (
            flambeau.tensor(x.astype(np.float32), requires_grad=True)
            for x in (*arrays, rng.standard_normal((2, 2, 9, features)))
        )
        flambeau.nn.functional.scaled_dot_product_attention(q, k, v).square().sum().backward()
        assert q.grad.count_nonzero() == 0
        assert k.grad.count_nonzero() == 0
        assert v.grad.isfinite().all()


def test_folds_that_overflow() -> None:
    torch = pytest.importorskip("torch")

    def folded(t: Any) -> Any:
        x = t.tensor([[1e12, 2e12], [3.0, 4.0]], requires_grad=True)
        rows = t.full((3, 2), 1e16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a beta
            y = x.index_reduce(0, t.tensor([0, 0, 0]), rows, "prod", include_self=False)
        y.sum().backward()
        return [y.tolist(), x.grad.tolist()]

    assert folded(flambeau) == folded(torch)


def test_histogram_of_one_large_number() -> None:
    torch = pytest.importorskip("torch")
    for number in (1e12, -1e12, 3.0):
        found, wanted = (t.histc(t.tensor(number)).tolist() for t in (flambeau, torch))
        assert found == wanted
