"""Normalisations against PyTorch: values, running statistics, both orders of derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_neural_activation import F, assert_close, assert_same, normal, pair, torch

from flambeau.functional import normalisation as fn

pytestmark = pytest.mark.parity


def wide(*shape: int) -> Any:
    return normal(*shape, dtype="float64", scale=2) + 3


NORMS: list[tuple[str, Callable[..., Any], list[Any]]] = [
    (
        "batch 2-d",
        lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True),
        [wide(5, 4), wide(4), wide(4)],
    ),
    (
        "batch 4-d",
        lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True),
        [wide(3, 4, 2, 3), wide(4), wide(4)],
    ),
    (
        "batch plain",
        lambda f, x: f.batch_norm(x, None, None, training=True, eps=0.1),
        [wide(3, 4, 5)],
    ),
    (
        "batch weight",
        lambda f, x, w: f.batch_norm(x, None, None, w, training=True),
        [wide(3, 4, 5), wide(4)],
    ),
    ("layer", lambda f, x, w, b: f.layer_norm(x, (4,), w, b), [wide(2, 3, 4), wide(4), wide(4)]),
    ("layer 2", lambda f, x, w: f.layer_norm(x, [3, 4], w), [wide(2, 3, 4), wide(3, 4)]),
    ("layer plain", lambda f, x: f.layer_norm(x, (4,), eps=0.2), [wide(3, 4)]),
    ("rms", lambda f, x, w: f.rms_norm(x, (4,), w), [wide(2, 3, 4), wide(4)]),
    ("rms eps", lambda f, x: f.rms_norm(x, (3, 4), eps=0.1), [wide(2, 3, 4)]),
    ("group", lambda f, x, w, b: f.group_norm(x, 2, w, b), [wide(3, 4, 5), wide(4), wide(4)]),
    ("group 4-d", lambda f, x: f.group_norm(x, 3), [wide(2, 6, 2, 3)]),
    (
        "instance",
        lambda f, x, w, b: f.instance_norm(x, weight=w, bias=b),
        [wide(2, 4, 5), wide(4), wide(4)],
    ),
    ("instance 4-d", lambda f, x: f.instance_norm(x), [wide(2, 4, 2, 3)]),
    ("response", lambda f, x: f.local_response_norm(x, 3, 0.5, 0.75, 2.0), [wide(2, 5, 3)]),
    ("response even", lambda f, x: f.local_response_norm(x, 2), [wide(2, 5, 3, 2)]),
]


@pytest.mark.parametrize(
    ("function", "operands"), [n[1:] for n in NORMS], ids=[n[0] for n in NORMS]
)
def test_norms(function: Callable[..., Any], operands: list[Any]) -> None:
    assert_same(lambda *v: function(fn, *v), lambda *v: function(F, *v), operands, atol=1e-5)
    half = [o.astype(np.float32) for o in operands]
    assert_same(
        lambda *v: function(fn, *v),
        lambda *v: function(F, *v),
        half,
        second=False,
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("momentum", [0.1, 0.3])
def test_running_statistics(name: str, momentum: float) -> None:
    statistics = [normal(4), np.abs(normal(4))]
    theirs, mine = zip(*[pair(s, False) for s in statistics], strict=True)
    key = "training" if name == "batch_norm" else "use_input_stats"
    for flag in (True, True, False, True, False):
        data = wide(3, 4, 5).astype(np.float32)
        (t, m), options = pair(data), {key: flag, "momentum": momentum}
        want = getattr(F, name)(t, *theirs, **options)
        have = getattr(fn, name)(m, *mine, **options)
        assert_close(have, want, 1e-4, 1e-5)
        ct, mct = pair(normal(3, 4, 5), False)
        want.backward(ct)
        have.backward(mct)
        assert_close(m.grad, t.grad, 1e-3, 1e-4)
        for a, b in zip(mine, theirs, strict=True):
            assert_close(a, b)


def test_running_statistics_seen_by_numpy() -> None:
    mean, variance = pair(np.zeros(4, np.float32), False)[1], pair(np.ones(4, np.float32), False)[1]
    seen = mean.numpy()
    x = pair(wide(6, 4).astype(np.float32))[1]
    fn.batch_norm(x, mean, variance, training=True, momentum=1.0)
    np.testing.assert_allclose(seen, x._values().mean(0), rtol=1e-5)


def test_bfloat16_input_with_float32_parameters() -> None:
    data = normal(6, 4)
    want = F.layer_norm(torch.from_numpy(data).half(), (4,))
    have = fn.layer_norm(pair(data.astype(np.float16), False)[1], (4,))
    assert_close(have, want, 2e-3, 2e-3)


MISTAKES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("one value", lambda f, x: f.batch_norm(x(1, 4), x(4), x(4), training=True)),
    ("running mean", lambda f, x: f.batch_norm(x(2, 5), x(4), x(4), training=True)),
    ("no statistics", lambda f, x: f.batch_norm(x(2, 5), None, None)),
    ("weight", lambda f, x: f.batch_norm(x(3, 4), None, None, x(5), training=True)),
    ("normalized shape", lambda f, x: f.layer_norm(x(3, 4), (5,))),
    ("layer weight", lambda f, x: f.layer_norm(x(3, 4), (4,), x(5))),
    ("empty shape", lambda f, x: f.layer_norm(x(3, 4), ())),
    ("shape int", lambda f, x: f.layer_norm(x(3, 4), 4)),
    ("groups", lambda f, x: f.group_norm(x(2, 5, 3), 2)),
    ("group weight", lambda f, x: f.group_norm(x(2, 4, 3), 2, x(5))),
    ("group rank", lambda f, x: f.group_norm(x(2), 2)),
    ("group of one", lambda f, x: f.group_norm(x(1, 2), 2)),
    ("one element", lambda f, x: f.instance_norm(x(2, 4, 1))),
    ("no instance statistics", lambda f, x: f.instance_norm(x(2, 4, 3), use_input_stats=False)),
    ("rms shape", lambda f, x: f.rms_norm(x(3, 4), (5,))),
    ("response rank", lambda f, x: f.local_response_norm(x(2, 4), 3)),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
def test_mistakes_in_pytorch_words(mistake: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s), False)[0])
    with pytest.raises(want.type) as have:
        mistake(fn, lambda *s: pair(normal(*s), False)[1])
    assert str(have.value) == str(want.value)
