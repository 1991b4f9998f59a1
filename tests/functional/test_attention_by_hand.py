"""Attention as programs write it out becomes one primitive, and stays what PyTorch computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import expansion, keeping
from flambeau.record.options import OPTIONS

B, H, L, S, E = 2, 3, 24, 40, 16


def _causal(t: Any) -> Any:
    return t.tril(t.ones(L, S)).view(1, 1, L, S)


def _padding(t: Any) -> Any:
    return t.arange(S)[None, :] >= t.tensor([[S], [17]])


def gpt(t: Any, q: Any, k: Any, v: Any) -> Any:
    att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
    att = att.masked_fill(_causal(t)[:, :, :L, :S] == 0, float("-inf"))
    return t.nn.functional.softmax(att, dim=-1) @ v


def annotated(t: Any, q: Any, k: Any, v: Any) -> Any:
    scores = t.matmul(q, k.transpose(-2, -1)) / math.sqrt(E)
    scores = scores.masked_fill(_padding(t)[:, None, None, :], -1e9)
    return t.matmul(scores.softmax(dim=-1), v)


def bert(t: Any, q: Any, k: Any, v: Any) -> Any:
    extended = (~_padding(t))[:, None, None, :].float()
    scores = t.matmul(q, k.transpose(-1, -2)) / math.sqrt(E) + (1.0 - extended) * -10000.0
    return t.matmul(t.nn.Softmax(dim=-1)(scores), v)


def fairseq(t: Any, q: Any, k: Any, v: Any) -> Any:
    q, k, v = (x.reshape(B * H, -1, E) for x in (q * E**-0.5, k, v))
    weights = t.bmm(q, k.transpose(1, 2)).view(B, H, L, S)
    weights = weights.masked_fill(_padding(t).unsqueeze(1).unsqueeze(2), float("-inf"))
    probs = t.softmax(weights.view(B * H, L, S), dim=-1)
    return t.bmm(probs, v).view(B, H, L, E)


def where_and_bias(t: Any, q: Any, k: Any, v: Any) -> Any:
    bias = -0.1 * (t.arange(S)[None, :] - t.arange(L)[:, None]).abs()
    scores = t.where(_causal(t) > 0, q @ k.mT * 0.25 + bias, t.tensor(-math.inf))
    return scores.softmax(-1) @ v


def one_head(t: Any, q: Any, k: Any, v: Any) -> Any:
    q, k, v = q[:, 0], k[:, 0], v[:, 0]
    scores = t.einsum("ble,bse->bls", q, k)
    return t.softmax(scores * 0.3, 2) @ v


def dropped(t: Any, q: Any, k: Any, v: Any) -> Any:
    t.manual_seed(3)
    att = t.softmax((q @ k.mT) * 0.25, -1)
    return t.nn.functional.dropout(att, 0.3) @ v


def joint_with_dropout(t: Any, q: Any, k: Any, v: Any) -> Any:
    t.manual_seed(3)
    mask = ~_padding(t)[:, None, None, :]
    attend = t.nn.functional.scaled_dot_product_attention
    return attend(q, k, v, attn_mask=mask, dropout_p=0.2)


def joint_masked(t: Any, q: Any, k: Any, v: Any) -> Any:
    hidden = _padding(t)[:, None, None, :] | (t.arange(L) == 3)[:, None]
    mask = t.zeros(B, 1, L, S).masked_fill(hidden, -math.inf)
    return t.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def grouped(t: Any, q: Any, k: Any, v: Any) -> Any:
    k, v = k[:, :1], v[:, :1]
    return t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def shared_weights(t: Any, q: Any, k: Any, v: Any) -> Any:
    att = t.softmax(q @ k.mT, -1)
    return att @ v + att.square().sum(-1, keepdim=True)


FORMS = [gpt, annotated, bert, fairseq, where_and_bias, one_head, dropped]
JOINT = [joint_with_dropout, joint_masked, grouped]


def arrays() -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = [(B, H, L, E), (B, H, S, E), (B, H, S, E), (B, H, L, E)]
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def run(t: Any, form: Callable[..., Any], between: bool = False) -> list[Any]:
    *parts, ct = (t.tensor(x) for x in arrays())
    for x in parts:
        x.requires_grad_(True)
    y = form(t, *parts)
    loss = (
        y * ct[: y.shape[0], : y.shape[1]].reshape(B, -1)[:, : y[0].numel()].reshape(y.shape)
    ).sum()
    if between:
        loss.item()
    loss.backward()
    return [np.array(x.detach().numpy()) for x in (y, *[p.grad for p in parts])]


def close(ours: list[Any], theirs: list[Any]) -> None:
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The primitives of all programs that are compiled."""
    found: list[str] = []
    plain = keeping.compiled_program

    def noted(program: Any, *_: Any) -> Any:
        found.extend(v.primitive.name for v in expansion.prepared(program)[0].nodes())
        return plain(program)

    monkeypatch.setattr(keeping, "compiled_program", noted)
    return found


@pytest.mark.parity
@pytest.mark.parametrize("form", [*FORMS, *JOINT, shared_weights], ids=lambda f: f.__name__)
@pytest.mark.parametrize("way", ["reference", "compiled", "in two programs"])
def test_same_as_pytorch(
    form: Callable[..., Any], way: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", "reference" if way == "reference" else "compiled")
    close(run(flambeau, form, way == "in two programs"), run(torch, form))
    if way != "reference" and form is not shared_weights:
        assert {"attention", "attention_grad"} <= {*names}
        assert "exp" not in names


@pytest.mark.parity
def test_whoever_looks_at_the_weights_sees_them() -> None:
    torch = pytest.importorskip("torch")

    def looked_at(t: Any) -> list[Any]:
        *parts, _ = (t.tensor(x) for x in arrays())
        q, k, v = (x.requires_grad_(True) for x in parts)
        scores = q @ k.mT
        att = t.softmax(scores, -1)
        att.retain_grad()
        y = att @ v
        (of_scores,) = t.autograd.grad((y * y).sum(), scores, retain_graph=True)
        y.square().sum().backward()
        again = t.softmax(q @ k.mT, -1)
        seen: list[Any] = []

        def doubled(g: Any) -> Any:
            seen.append(g)
            return g * 2

        again.register_hook(doubled)
        (again @ v).sum().backward()
        return [np.array(x.detach().numpy()) for x in (att, att.grad, of_scores, *seen, q.grad)]

    close(looked_at(flambeau), looked_at(torch))


@pytest.mark.parity
def test_what_pytorch_refuses() -> None:
    torch = pytest.importorskip("torch")

    def overwritten(t: Any) -> None:
        *parts, _ = (t.tensor(x) for x in arrays())
        q, k, v = (x.requires_grad_(True) for x in parts)
        att = t.softmax(q @ k.mT, -1)
        y = att @ v
        with t.no_grad():
            att.mul_(2.0)
        y.sum().backward()

    def twice(t: Any) -> None:
        *parts, _ = (t.tensor(x) for x in arrays())
        q, k, v = (x.requires_grad_(True) for x in parts)
        att = t.softmax(q @ k.mT, -1)
        (att @ v).sum().backward()
        att.sum().backward()

    for program in (overwritten, twice):
        messages = []
        for t in (torch, flambeau):
            with pytest.raises(RuntimeError) as error:
                program(t)
            messages.append(str(error.value)[:60])
        assert messages[0] == messages[1]


@pytest.mark.parity
def test_second_derivatives() -> None:
    torch = pytest.importorskip("torch")

    def second(t: Any) -> list[Any]:
        *parts, _ = (t.tensor(x) for x in arrays())
        q, k, v = (x.requires_grad_(True) for x in parts)
        y = gpt(t, q, k, v)
        first = t.autograd.grad((y * y).sum(), (q, k, v), create_graph=True)
        found = t.autograd.grad(sum((g * g).sum() for g in first), (q, k, v))
        return [np.array(g.detach().numpy()) for g in found]

    for x, y in zip(second(flambeau), second(torch), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-3)


@pytest.mark.parity
@pytest.mark.parametrize("p", [0.0, 0.1])
@pytest.mark.parametrize("masks", ["padding", "causal", "both"])
def test_encoder_layers(
    masks: str, p: float, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", "compiled")

    def trained(t: Any) -> list[Any]:
        t.manual_seed(0)
        layer = t.nn.TransformerEncoderLayer(64, 4, 96, p, batch_first=True)
        x = t.tensor(np.random.default_rng(1).standard_normal((3, 20, 64)).astype(np.float32))
        causal = t.nn.Transformer.generate_square_subsequent_mask(20)
        padding = t.arange(20)[None, :] >= t.tensor([[20], [11], [5]])
        if masks == "both":
            padding = t.zeros(3, 20).masked_fill(padding, -math.inf)
        given = {
            "src_mask": None if masks == "padding" else causal,
            "src_key_padding_mask": None if masks == "causal" else padding,
        }
        y = layer(x, **given)
        y.square().mean().backward()
        return [np.array(z.detach().numpy()) for z in (y, *[w.grad for w in layer.parameters()])]

    close(trained(flambeau), trained(torch))
    assert "attention_grad" in names and "exp" not in names
