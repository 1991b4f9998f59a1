"""Losses against PyTorch: values, grad_fn, both orders of derivatives, warnings and errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from test_neural_activation import RNG, F, assert_close, assert_same, normal, pair, torch

from flambeau.nn import functional as fl

pytestmark = pytest.mark.parity


def wide(*shape: int) -> Any:
    return normal(*shape, dtype="float64")


def positive(*shape: int) -> Any:
    return np.abs(wide(*shape)) + 0.1


def chance(*shape: int) -> Any:
    return RNG.uniform(0.02, 0.98, shape)


def signs(*shape: int) -> Any:
    return np.asarray(RNG.choice([-1.0, 1.0], shape))


def classes(count: int, *shape: int) -> Any:
    return RNG.integers(0, count, shape)


def distribution(*shape: int) -> Any:
    raw = chance(*shape)
    return raw / raw.sum(1, keepdims=True)


X, Y = wide(3, 4), wide(3, 4)
LOSSES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("mse_loss", [X, Y], {}),
    ("mse_loss", [X, Y.astype(np.float32)], {}),
    ("mse_loss", [wide(2, 3), classes(5, 2, 3)], {}),
    ("mse_loss", [X, Y], {"weight": 2}),
    ("l1_loss", [X, Y], {}),
    ("l1_loss", [X, Y], {"weight": 2}),
    ("smooth_l1_loss", [X, Y], {}),
    ("smooth_l1_loss", [X, Y], {"beta": 0.3}),
    ("smooth_l1_loss", [X, Y], {"beta": 0.0}),
    ("huber_loss", [X, Y], {"delta": 0.7}),
    ("huber_loss", [X, Y], {"weight": 2}),
    ("nll_loss", [X, classes(4, 3)], {}),
    ("nll_loss", [X, np.array([1, 2, 1])], {"weight": 4, "ignore_index": 2}),
    ("nll_loss", [wide(4), np.array(1)], {}),
    ("nll_loss", [wide(2, 4, 3), classes(4, 2, 3)], {"weight": 4}),
    ("nll_loss", [wide(2, 4, 3, 2), classes(4, 2, 3, 2)], {"ignore_index": 1}),
    ("nll_loss", [wide(2, 4, 3, 2, 2), classes(4, 2, 3, 2, 2)], {}),
    ("cross_entropy", [X, classes(4, 3)], {}),
    ("cross_entropy", [X, classes(4, 3).astype(np.uint8)], {}),
    ("cross_entropy", [X, np.array([1, 2, 1])], {"weight": 4, "ignore_index": 2}),
    ("cross_entropy", [X, classes(4, 3)], {"label_smoothing": 0.2}),
    (
        "cross_entropy",
        [X, np.array([1, 2, 1])],
        {"weight": 4, "ignore_index": 2, "label_smoothing": 0.2},
    ),
    ("cross_entropy", [wide(4), np.array(1)], {}),
    ("cross_entropy", [wide(2, 4, 3), classes(4, 2, 3)], {}),
    ("cross_entropy", [wide(2, 4, 3, 2), classes(4, 2, 3, 2)], {"weight": 4}),
    ("cross_entropy", [X, distribution(3, 4)], {}),
    (
        "cross_entropy",
        [wide(2, 4, 3), distribution(2, 4, 3)],
        {"weight": 4, "label_smoothing": 0.1},
    ),
    ("binary_cross_entropy", [chance(3, 4), chance(3, 4)], {}),
    ("binary_cross_entropy", [chance(3, 4), chance(3, 4)], {"weight": 2}),
    ("binary_cross_entropy_with_logits", [X * 5, chance(3, 4)], {}),
    ("binary_cross_entropy_with_logits", [X, chance(3, 4)], {"weight": 2, "pos_weight": 4}),
    ("kl_div", [X, distribution(3, 4)], {}),
    ("kl_div", [X, Y], {"log_target": True}),
    ("poisson_nll_loss", [X, positive(3, 4) * 3], {}),
    ("poisson_nll_loss", [positive(3, 4), positive(3, 4) * 3], {"log_input": False, "full": True}),
    ("gaussian_nll_loss", [X, Y, positive(3, 4)], {}),
    ("gaussian_nll_loss", [X, Y, positive(3)], {"full": True}),
    ("gaussian_nll_loss", [X, Y, positive(3, 1)], {}),
    ("hinge_embedding_loss", [X, signs(3, 4)], {"margin": 0.5}),
    ("cosine_embedding_loss", [X, Y, signs(3)], {"margin": -0.3}),
    ("cosine_embedding_loss", [wide(4), wide(4), np.array(1.0)], {}),
    ("margin_ranking_loss", [X, Y, signs(3, 4)], {"margin": 0.2}),
    ("soft_margin_loss", [X * 5, signs(3, 4)], {}),
    ("multi_margin_loss", [X, classes(4, 3)], {}),
    ("multi_margin_loss", [X, classes(4, 3)], {"p": 2, "margin": 0.7, "weight": 4}),
    ("multilabel_margin_loss", [X, np.array([[3, 0, -1, 1], [-1, 0, 0, 0], [2, 1, 0, 3]])], {}),
    ("multilabel_soft_margin_loss", [X, chance(3, 4)], {}),
    ("triplet_margin_loss", [X, Y, wide(3, 4)], {}),
    ("triplet_margin_loss", [X, Y, wide(3, 4)], {"p": 1.0, "swap": True, "margin": 2.0}),
    ("triplet_margin_with_distance_loss", [X, Y, wide(3, 4)], {"swap": True}),
]

# PyTorch has no second derivative of these, or one that differs from the derivative of its first.
FIRST_ORDER = {"multi_margin_loss", "multilabel_margin_loss"}
NO_TARGET_GRADIENT = (
    "nll_loss",
    "cross_entropy",
    "margin",
    "hinge",
    "cosine",
    "poisson",
    "kl_div",
    "soft",
)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("name", "operands", "options"), LOSSES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_losses(name: str, operands: list[Any], options: dict[str, Any], reduction: str) -> None:
    options = {**options, "reduction": reduction}
    weights = {}
    for key in ("weight", "pos_weight"):
        if key in options:
            shape = operands[0].shape if options.pop(key) == 2 else (4,)
            weights[key] = positive(*shape)
    constant = "triplet" not in name and any(part in name for part in NO_TARGET_GRADIENT)

    def of(module: Any, place: int) -> Callable[..., Any]:
        def apply(*values: Any) -> Any:
            values = (*values[:-1], values[-1].detach()) if constant else values
            given = {k: pair(w, False)[place] for k, w in weights.items()}
            return getattr(module, name)(*values, **options, **given)

        return apply

    assert_same(of(fl, 1), of(F, 0), operands, second=name not in FIRST_ORDER, rtol=1e-6, atol=1e-8)


def test_reduction_batchmean() -> None:
    for log_target in (False, True):
        options = {"reduction": "batchmean", "log_target": log_target}
        assert_same(
            partial(fl.kl_div, **options),
            partial(F.kl_div, **options),
            [X, distribution(3, 4)],
        )


def test_saturated_probabilities_have_pytorch_gradients() -> None:
    x = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 1e-20], np.float32)
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0], np.float32)
    (t, m), (ty, my) = pair(x), pair(y, False)
    want, have = F.binary_cross_entropy(t, ty), fl.binary_cross_entropy(m, my)
    assert_close(have, want)
    want.backward()
    have.backward()
    assert_close(m.grad, t.grad, 1e-4)


def test_logits_at_zero_and_far_out() -> None:
    x = np.array([0.0, 0.0, 200.0, -200.0, 1e4, -1e4], np.float32)
    y = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0], np.float32)
    assert_same(
        fl.binary_cross_entropy_with_logits,
        F.binary_cross_entropy_with_logits,
        [x, y],
        second=False,
    )
    t, m = pair(np.float32([0.0, 0.0, 20.0, -20.0]))  # beyond, PyTorch's own soft margin overflows
    side, mine = pair(2 * y[:4] - 1, False)
    want, have = F.soft_margin_loss(t, side), fl.soft_margin_loss(m, mine)
    assert_close(have, want)
    want.backward()
    have.backward()
    assert_close(m.grad, t.grad)


def test_everything_ignored_is_nan_and_empty_sums_are_zero() -> None:
    m = pair(np.full(3, 2))[1]
    mx = pair(X)[1]
    assert np.isnan(fl.cross_entropy(mx, m, ignore_index=2)._values())
    assert fl.cross_entropy(mx, m, ignore_index=2, reduction="sum").tolist() == 0.0
    m = pair(normal(0, 4))[1]
    assert fl.mse_loss(m, m.detach(), reduction="sum").tolist() == 0.0
    assert np.isnan(fl.mse_loss(m, m.detach())._values())


def test_infinite_losses_stay_where_they_are() -> None:
    rows = np.array([[0, -np.inf, 2.0], [1, 2, 3]], np.float32)
    target = np.array([0, 2])
    assert_same(fl.cross_entropy, F.cross_entropy, [rows, target], second=False)
    (t, m), (tt, tm) = pair(rows), pair(np.array([1, 2]))
    assert fl.cross_entropy(m, tm).tolist() == F.cross_entropy(t, tt).item() == np.inf


WARNED: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("broadcast mse", lambda f, x: f.mse_loss(x(3, 4), x(4))),
    ("broadcast l1", lambda f, x: f.l1_loss(x(3, 4), x(4))),
    ("broadcast huber", lambda f, x: f.huber_loss(x(3, 4), x(4))),
    ("size_average", lambda f, x: f.mse_loss(x(3, 4), x(3, 4), size_average=False)),
    ("reduce", lambda f, x: f.cross_entropy(x(3, 4), x(3, 4), reduce=False)),
    ("kl mean", lambda f, x: f.kl_div(x(3, 4), x(3, 4))),
]


@pytest.mark.parametrize("program", [p for _, p in WARNED], ids=[n for n, _ in WARNED])
def test_warnings_in_pytorch_words(program: Callable[[Any, Any], Any]) -> None:
    messages = []
    for module, place in ((F, 0), (fl, 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            program(module, lambda *s, place=place: pair(normal(*s), False)[place])
        messages.append([str(w.message) for w in caught])
    assert messages[0] == messages[1] and messages[1]


T = classes(4, 3)
MISTAKES: list[tuple[str, Callable[[Any, Any, Any], Any]]] = [
    ("reduction", lambda f, x, c: f.mse_loss(x(3, 4), x(3, 4), reduction="average")),
    ("integers", lambda f, x, c: f.mse_loss(c(np.ones(3, int)), c(np.ones(3, int)))),
    ("batch", lambda f, x, c: f.cross_entropy(x(3, 4), c(np.array([0, 1])))),
    ("out of bounds", lambda f, x, c: f.cross_entropy(x(3, 4), c(np.array([0, 1, 10]))).tolist()),
    ("negative", lambda f, x, c: f.cross_entropy(x(3, 4), c(np.array([0, 1, -1]))).tolist()),
    (
        "out of bounds, smoothed",
        lambda f, x, c: f.cross_entropy(
            x(3, 4), c(np.array([0, 1, 10])), label_smoothing=0.1
        ).tolist(),
    ),
    (
        "out of bounds, spatial",
        lambda f, x, c: f.nll_loss(x(1, 4, 1, 2), c(np.array([[[0, 10]]]))).tolist(),
    ),
    ("int32", lambda f, x, c: f.cross_entropy(x(3, 4), c(T.astype(np.int32)))),
    ("float", lambda f, x, c: f.cross_entropy(x(3, 4), c(T.astype(np.float32)))),
    ("column", lambda f, x, c: f.cross_entropy(x(3, 4), c(T.reshape(3, 1)))),
    ("weight", lambda f, x, c: f.cross_entropy(x(3, 4), c(T), weight=x(5))),
    ("spatial", lambda f, x, c: f.cross_entropy(x(3, 4, 2), c(classes(4, 3, 3)))),
    ("long of input shape", lambda f, x, c: f.cross_entropy(x(3, 4), c(classes(4, 3, 4)))),
    ("smoothing", lambda f, x, c: f.cross_entropy(x(3, 4), c(T), label_smoothing=2.0)),
    ("ignored probability", lambda f, x, c: f.cross_entropy(x(3, 4), x(3, 4), ignore_index=1)),
    ("nll integers", lambda f, x, c: f.nll_loss(c(np.ones((3, 4), int)), c(T))),
    ("bce size", lambda f, x, c: f.binary_cross_entropy(x(3, 4), x(4))),
    ("bce range", lambda f, x, c: f.binary_cross_entropy(c(np.float32([2.0, 0.5])), x(2)).tolist()),
    ("bce dtype", lambda f, x, c: f.binary_cross_entropy(x(3), c(T))),
    ("logits size", lambda f, x, c: f.binary_cross_entropy_with_logits(x(3, 4), x(4))),
    ("logits dtype", lambda f, x, c: f.binary_cross_entropy_with_logits(x(3), c(T))),
    ("cosine target", lambda f, x, c: f.cosine_embedding_loss(x(3, 4), x(3, 4), x(3, 4))),
    ("ranking", lambda f, x, c: f.margin_ranking_loss(x(3, 4), x(3, 4), x(3))),
    (
        "negative variance",
        lambda f, x, c: f.gaussian_nll_loss(x(3), x(3), c(-np.ones(3, np.float32))).tolist(),
    ),
    (
        "variance",
        lambda f, x, c: f.gaussian_nll_loss(x(3, 4), x(3, 4), c(np.ones((3, 5), np.float32))),
    ),
    ("margin p", lambda f, x, c: f.multi_margin_loss(x(3, 4), c(T), p=3)),
    (
        "margin target",
        lambda f, x, c: f.multi_margin_loss(x(3, 4), c(np.array([0, 1, 9]))).tolist(),
    ),
    ("margin size", lambda f, x, c: f.multi_margin_loss(x(3, 4), c(np.array([0, 1])))),
    ("labels", lambda f, x, c: f.multilabel_margin_loss(x(3, 4), c(np.array([0, 1])))),
    (
        "labels out",
        lambda f, x, c: f.multilabel_margin_loss(x(3, 4), c(np.full((3, 4), 9))).tolist(),
    ),
    ("triplet", lambda f, x, c: f.triplet_margin_loss(x(3, 4), x(3, 4), x(4))),
    ("triplet margin", lambda f, x, c: f.triplet_margin_loss(x(3), x(3), x(3), margin=-1)),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_mistakes_in_pytorch_words(mistake: Callable[..., Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s), False)[0], lambda a: pair(a, False)[0])
    with pytest.raises(want.type) as have:
        mistake(fl, lambda *s: pair(normal(*s), False)[1], lambda a: pair(a, False)[1])
    # A check on data is made when the program runs: another line says where it was recorded.
    words, *where = str(have.value).split("\n(first recorded at ")
    assert words == str(want.value)
    assert not where or __file__ in where[0]


def test_a_softmax_classifier_learns_as_in_pytorch() -> None:
    """Loss and gradients through log_softmax and nll_loss equal cross_entropy's."""
    t, m = pair(normal(5, 7))
    target = classes(7, 5)
    tt, tm = pair(target)
    loss = fl.nll_loss(fl.log_softmax(m, 1), tm)
    loss.backward()
    want = F.cross_entropy(t, tt)
    want.backward()
    assert_close(loss, want)
    assert_close(m.grad, t.grad)
    assert torch is not None
