"""Embeddings and attention against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_neural_activation import F, assert_same, normal, pair, torch

from flambeau.functional import attention as fat
from flambeau.functional import embedding as fe

pytestmark = pytest.mark.parity
INDEX = np.array([[0, 1, 1], [4, 2, 0]])


@pytest.mark.parametrize("index", [INDEX, np.array(3), INDEX[:0], INDEX.astype(np.int32)])
@pytest.mark.parametrize("padding", [None, 1, -5])
def test_embedding(index: Any, padding: int | None) -> None:
    assert_same(
        lambda w, i: fe.embedding(i, w, padding_idx=padding),
        lambda w, i: F.embedding(i, w, padding_idx=padding),
        [normal(5, 3), index],
        second=bool(index.size),  # PyTorch's second derivative fails for no index at all
    )


BAGS: list[tuple[list[Any], dict[str, Any]]] = [
    ([INDEX], {}),
    ([INDEX], {"mode": "sum"}),
    ([INDEX], {"mode": "max"}),
    ([INDEX], {"mode": "mean", "padding_idx": 1}),
    ([np.array([0, 1, 1, 4, 2]), np.array([0, 2, 2])], {"mode": "sum"}),
    ([np.array([0, 1, 1, 4, 2]), np.array([0, 2, 2])], {"mode": "mean"}),
    (
        [np.array([0, 1, 1, 4, 2]), np.array([0, 3, 5])],
        {"mode": "mean", "include_last_offset": True},
    ),
]


@pytest.mark.parametrize(("operands", "options"), BAGS)
def test_bags(operands: list[Any], options: dict[str, Any]) -> None:
    assert_same(
        lambda w, i, *o: fe.embedding_bag(i, w, *o, **options),
        lambda w, i, *o: F.embedding_bag(i, w, *o, **options),
        [normal(5, 3), *operands],
        second=False,
    )


def test_weighted_bags() -> None:
    assert_same(
        lambda w, i, f: fe.embedding_bag(i, w, mode="sum", per_sample_weights=f),
        lambda w, i, f: F.embedding_bag(i, w, mode="sum", per_sample_weights=f),
        [normal(5, 3), INDEX, normal(2, 3)],
        second=False,
    )


Q, K, V = (2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7)
MASK = np.tril(np.ones((4, 6), bool), 1)
NONE = np.array(MASK)
NONE[1] = False
ATTENTION: list[tuple[list[Any], dict[str, Any]]] = [
    ([normal(*Q), normal(*K), normal(*V)], {}),
    ([normal(*Q), normal(*K), normal(*V)], {"is_causal": True}),
    ([normal(*Q), normal(*K), normal(*V)], {"scale": 0.3}),
    ([normal(*Q), normal(*K), normal(*V), MASK], {}),
    ([normal(*Q), normal(*K), normal(*V), NONE], {}),
    ([normal(*Q), normal(*K), normal(*V), normal(4, 6)], {}),
    ([normal(3, 4, 5), normal(3, 6, 5), normal(3, 6, 7)], {}),
    ([normal(4, 5), normal(6, 5), normal(6, 7)], {}),
    ([normal(2, 4, 4, 5), normal(2, 2, 6, 5), normal(2, 2, 6, 7)], {"enable_gqa": True}),
]


@pytest.mark.parametrize(("operands", "options"), ATTENTION)
def test_attention(operands: list[Any], options: dict[str, Any]) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def theirs(*values: Any) -> Any:
        with sdpa_kernel(SDPBackend.MATH):  # differentiable twice
            return F.scaled_dot_product_attention(*values, **options)

    def mine(*values: Any) -> Any:
        return fat.scaled_dot_product_attention(*values, **options)

    doubles = [o if o.dtype == bool else o.astype(np.float64) for o in operands]
    assert_same(mine, theirs, doubles, named=False)


def test_attention_is_named_as_in_pytorch() -> None:
    for shape in (Q, Q[1:], Q[2:]):
        t, m = pair(normal(*shape))
        want = F.scaled_dot_product_attention(t, t, t)
        have = fat.scaled_dot_product_attention(m, m, m)
        assert have.grad_fn.name() == type(want.grad_fn).__name__


MISTAKES: list[tuple[str, Callable[[Any, Any, Any], Any]]] = [
    ("dtype", lambda f, x, c: f.embedding(x(3), x(5, 3))),
    ("padding", lambda f, x, c: f.embedding(c(INDEX), x(5, 3), padding_idx=7)),
    ("rank", lambda f, x, c: f.embedding(c(INDEX), x(5))),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
def test_mistakes_in_pytorch_words(mistake: Callable[..., Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s), False)[0], lambda a: pair(a, False)[0])
    with pytest.raises(want.type) as have:
        mistake(fe, lambda *s: pair(normal(*s), False)[1], lambda a: pair(a, False)[1])
    assert str(have.value) == str(want.value)


@pytest.mark.parametrize("bad", [5, -1])
def test_an_index_out_of_range_is_refused(bad: int) -> None:
    weight = pair(normal(5, 3))[1]
    with pytest.raises(IndexError, match="index out of range in self"):
        fe.embedding(pair(np.array([0, bad]))[1], weight).tolist()


def test_what_is_missing_says_so() -> None:
    weight = pair(normal(5, 3))[1].requires_grad_()
    with pytest.raises(NotImplementedError, match="leaf"):
        fe.embedding(pair(INDEX)[1], weight * 2, sparse=True)
    with pytest.raises(NotImplementedError, match="scale_grad_by_freq"):
        fe.embedding(pair(INDEX)[1], weight, None, None, 2.0, True, True)


def test_attention_refuses_two_masks() -> None:
    q, mask = pair(normal(*Q))[1], pair(np.ones((4, 4), bool))[1]
    with pytest.raises(
        RuntimeError, match="explicit attn_mask should not be set when is_causal=True"
    ):
        fat.scaled_dot_product_attention(q, q, q, attn_mask=mask, is_causal=True)
    assert torch is not None
