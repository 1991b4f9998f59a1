"""Attention with several heads and the transformer beside PyTorch's."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import beside_torch
from beside_torch import LIBRARIES, given, identical, same, same_mistake

import flambeau

pytestmark = pytest.mark.parity

RTOL, ATOL = 1e-4, 2e-5
# Initialisers that take a logarithm and a root may differ in the last bit.
built = partial(beside_torch.built, rtol=1e-6, atol=1e-7)


def compared(modules: list[Any], inputs: tuple[Any, ...], **named: Any) -> None:
    """Asserts equal results, and equal gradients of a random weighting of the first."""
    results, gradients = [], []
    weight = None
    for library, module in zip(LIBRARIES, modules):
        mine, options = given(library, inputs), given(library, named)
        if all(x is inputs[0] for x in inputs):
            mine = (mine[0],) * len(inputs)
        library.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = module(*mine, **options)
        first = result[0] if isinstance(result, tuple) else result
        if weight is None:
            weight = torch.randn(first.shape).numpy()
        (first * library.tensor(weight)).sum().backward()
        results.append(result)
        gradients.append([p.grad for p in (*mine, *module.parameters())])
    same(results[0], results[1], rtol=RTOL, atol=ATOL)
    same(gradients[0], gradients[1], rtol=RTOL, atol=5 * ATOL)


def randn(*shape: int) -> Any:
    return torch.randn(shape).requires_grad_()


def causal(size: int, kind: str) -> Any:
    mask = torch.ones(size, size).triu(1).bool()
    return mask if kind == "bool" else torch.zeros(size, size).masked_fill(mask, float("-inf"))


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    {"dropout": 0.3},
    {"kdim": 5, "vdim": 7},
    {"batch_first": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("weights", ["mean", "each", "none"])
def test_attention(options: dict[str, Any], weights: str) -> None:
    torch.manual_seed(1)
    modules = built("MultiheadAttention", 8, 2, **options)
    how = {"need_weights": weights != "none", "average_attn_weights": weights == "mean"}
    kdim, vdim = options.get("kdim", 8), options.get("vdim", 8)
    q, k, v = randn(5, 3, 8), randn(6, 3, kdim), randn(6, 3, vdim)
    if options.get("batch_first"):
        q, k, v = (x.detach().transpose(0, 1).contiguous().requires_grad_() for x in (q, k, v))
    compared(modules, (q, k, v), **how)
    compared(modules, (randn(5, 8), randn(6, kdim), randn(6, vdim)), **how)
    padding = torch.tensor([[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 0, 1]]).bool()
    compared(modules, (q, k, v), key_padding_mask=padding, **how)
    compared(modules, (q, k, v), attn_mask=torch.randn(5, 6), **how)
    compared(modules, (q, k, v), attn_mask=torch.randn(6, 5, 6) > 1.2, **how)
    compared(
        modules, (q, k, v), attn_mask=torch.randn(5, 6), key_padding_mask=padding.float(), **how
    )
    if kdim == vdim == 8:
        compared(modules, (q, q, q), attn_mask=causal(5, "bool"), is_causal=True, **how)
        compared(modules, (q, k, k), **how)


@pytest.mark.parametrize("weights", [True, False])
def test_rows_that_see_nothing(weights: bool) -> None:
    torch.manual_seed(2)
    modules = built("MultiheadAttention", 8, 2)
    x = torch.randn(4, 2, 8)
    hidden = torch.tensor([[True] * 4, [False] * 4])
    results = [
        module(*(given(library, x),) * 3, given(library, hidden), weights)
        for library, module in zip(LIBRARIES, modules)
    ]
    same(results[0], results[1], rtol=RTOL, atol=ATOL)


def test_functional_form() -> None:
    torch.manual_seed(3)
    arguments = {
        "query": randn(5, 3, 8),
        "key": randn(6, 3, 8),
        "value": randn(6, 3, 8),
        "in_proj_weight": randn(24, 8),
        "in_proj_bias": randn(24),
        "out_proj_weight": randn(8, 8),
        "out_proj_bias": randn(8),
    }
    static = {"static_k": randn(6, 7, 4), "static_v": randn(6, 7, 4)}
    rest = {
        "embed_dim_to_check": 8,
        "num_heads": 2,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
    }
    for more in ({}, static):
        results = [
            library.nn.functional.multi_head_attention_forward(
                **given(library, arguments), **rest, **given(library, more)
            )
            for library in LIBRARIES
        ]
        same(results[0], results[1], rtol=RTOL, atol=ATOL)


LAYERS: list[dict[str, Any]] = [
    {},
    {"norm_first": True, "bias": False},
    {"batch_first": True, "activation": "gelu", "dropout": 0.0},
    {"layer_norm_eps": 1e-3, "dropout": 0.3},
    {"batch_first": True, "dropout": 0.3},
]


@pytest.mark.parametrize("options", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_encoder_and_decoder(options: dict[str, Any], training: bool) -> None:
    torch.manual_seed(4)
    layers = [m.train(training) for m in built("TransformerEncoderLayer", 8, 2, 16, **options)]
    x = randn(5, 3, 8)
    rows = 3 if options.get("batch_first") else 5
    compared(layers, (x,))
    compared(layers, (x,), src_mask=causal(rows, "float"), is_causal=True)
    layers = [m.train(training) for m in built("TransformerDecoderLayer", 8, 2, 16, **options)]
    compared(layers, (x, randn(5, 3, 8)), tgt_mask=causal(rows, "bool"))
    made: dict[str, list[Any]] = {}
    for kind in ("Encoder", "Decoder"):
        singles = built(f"Transformer{kind}Layer", 8, 2, 16, **options)
        made[kind] = []
        for library, single in zip(LIBRARIES, singles):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stack = getattr(library.nn, f"Transformer{kind}")(
                    single, 2, library.nn.LayerNorm(8)
                )
            made[kind].append(stack.train(training))
    compared(made["Encoder"], (x,), mask=causal(rows, "bool"))
    compared(made["Decoder"], (x, randn(5, 3, 8)), tgt_mask=causal(rows, "float"))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_padding_in_evaluation(norm: bool, grad: bool) -> None:
    """Without gradients PyTorch leaves padding out of the computation: zeros come out."""
    torch.manual_seed(5)
    x = torch.randn(3, 6, 8)
    padding = torch.tensor([[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]]).bool()
    singles = built("TransformerEncoderLayer", 8, 2, 16, batch_first=True)
    results = []
    for library, single in zip(LIBRARIES, singles):
        last = library.nn.LayerNorm(8) if norm else None
        stack = library.nn.TransformerEncoder(single, 2, last).eval()
        with library.set_grad_enabled(grad), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append(
                stack(given(library, x), src_key_padding_mask=given(library, padding)).detach()
            )
    same(results[0], results[1], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer(batch_first: bool) -> None:
    torch.manual_seed(6)
    modules = built("Transformer", 8, 2, 2, 2, 16, batch_first=batch_first)
    source, target = (
        (randn(3, 5, 8), randn(3, 4, 8)) if batch_first else (randn(5, 3, 8), randn(4, 3, 8))
    )
    size = 4
    masks = [m.generate_square_subsequent_mask(size) for m in modules]
    identical(masks[0], masks[1])
    compared(modules, (source, target))
    compared(modules, (source, target), tgt_mask=masks[1])
    compared(modules, (randn(5, 8), randn(4, 8)))


def attempts(library: Any) -> list[Any]:
    nn, r = library.nn, library.randn
    zeros = library.zeros
    m = nn.MultiheadAttention(4, 2)
    whole = nn.Transformer(4, 2, 1, 1, 8)
    x = r(3, 2, 4)
    return [
        lambda: nn.MultiheadAttention(5, 2),
        lambda: nn.MultiheadAttention(0, 2),
        lambda: m(r(3, 4, 5, 6), x, x),
        lambda: m(x, r(3, 4), r(3, 4)),
        lambda: m(r(3, 4), x, x),
        lambda: m(r(3, 2, 5), x, x),
        lambda: m(x, r(5, 2, 4), x),
        lambda: m(x, x, x, attn_mask=r(2, 2)),
        lambda: m(x, x, x, attn_mask=r(2, 2, 2)),
        lambda: m(x, x, x, attn_mask=r(2)),
        lambda: m(x, x, x, key_padding_mask=zeros(3, 2, dtype=library.bool)),
        lambda: m(x, x, x, key_padding_mask=zeros(2, 3, 1, dtype=library.bool)),
        lambda: m(x, x, x, is_causal=True),
        lambda: m(x, x, x, attn_mask=zeros(3, 3, dtype=library.int64)),
        lambda: m(x, x, x, key_padding_mask=zeros(2, 3, dtype=library.int64)),
        lambda: whole(x, r(3, 3, 4)),
        lambda: whole(r(3, 2, 5), r(3, 2, 5)),
        lambda: nn.TransformerEncoderLayer(4, 2, activation="x"),
        lambda: nn.TransformerEncoderLayer(4, 2)(r(4)),
        lambda: m(x, x.double(), x),
    ]


@pytest.mark.parametrize("place", range(len(attempts(flambeau))))
def test_mistakes(place: int) -> None:
    same_mistake(attempts(flambeau)[place], attempts(torch)[place])
