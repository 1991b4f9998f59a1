"""Operands that PyTorch's products copy when they make matrices of them: what is written to them
later does not concern the gradients, in the same layouts as there.
"""

from __future__ import annotations

from typing import Any

import pytest

import flambeau
from tests.programs.modes import MODES, mode

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

# m is the memory that is written later, w a matrix [3, 4], v a vector, s three matrices [3, 4],
# F is nn.functional, t the library.
PRODUCTS = """
m[:6].view(2, 3) @ w
m[:6].view(2, 3).expand(2, 2, 3) @ w
m[:3].view(1, 3).expand(2, 2, 3) @ w
m[:12].view(2, 2, 3) @ w
m[:12].view(2, 2, 3) @ w.detach()
m[:12].view(2, 2, 3).transpose(0, 1) @ w
m[:12].view(2, 3, 2).transpose(1, 2) @ w
m[:16].view(2, 2, 4)[..., :3] @ w
m[:6].view(2, 1, 3)[:, :, :2].transpose(1, 2) @ v[:1].expand(1, 2)
m[:0].view(0, 2, 3) @ w
m[:6].view(2, 3).expand(2, 2, 3) @ v
m[:12].view(2, 2, 3) @ v
m[:12].view(2, 2, 3).transpose(0, 1) @ v
m[:3] @ w
m[:3] @ s
m[:3] @ m[:12].view(3, 4)
w.t() @ m[:6].view(2, 3).t().expand(2, 3, 2)
w.t() @ m[:12].view(2, 3, 2)
w.t() @ m[:12].view(2, 2, 3).transpose(1, 2)
v @ m[:12].view(2, 3, 2)
v @ m[:6].view(3, 2).expand(2, 3, 2)
m[:6].view(2, 3).expand(3, 2, 3) @ s
m[:6].view(2, 3) @ s
m[:18].view(3, 2, 3) @ s
m[:6].view(2, 3).expand(2, 3, 2, 3) @ s
m[:36].view(2, 3, 2, 3) @ s
m[:12].view(2, 1, 2, 3) @ s
m[:36].view(3, 2, 2, 3).transpose(0, 1) @ s
F.linear(m[:6].view(2, 3), w.t())
F.linear(m[:6].view(2, 3).expand(2, 2, 3), w.t())
F.linear(m[:6].view(2, 3).expand(2, 2, 3), w.t(), v[:1])
F.linear(m[:12].view(2, 2, 3), w.t(), t.ones(4))
F.linear(m[:12].view(2, 2, 3).transpose(0, 1), w.t(), t.ones(4))
F.linear(m[:12].view(2, 2, 3).transpose(0, 1), w.t())
F.linear(m[:24].view(2, 2, 2, 3), w.t(), t.ones(4))
t.tensordot(m[:12].view(2, 3, 2), w, ([1], [0]))
t.tensordot(m[:12].view(2, 2, 3), w, ([2], [0]))
t.tensordot(m[:12].view(3, 2, 2), w, ([0], [0]))
t.tensordot(w, m[:24].view(2, 3, 4), ([0, 1], [1, 2]))
""".strip().splitlines()


def gradients(library: Any, source: str, late: bool) -> Any:
    """What a gradient is after the operand was written, or how it is refused."""
    t = library
    memory = t.arange(60.0)
    numbers = t.linspace(-1, 1, 36).view(3, 3, 4)
    w, v, s = (x.clone().requires_grad_() for x in (numbers[0], numbers[1, :, 0], numbers))
    names = {"m": memory, "w": w, "v": v, "s": s, "t": t, "F": t.nn.functional}
    product = eval(source, names)
    if late:
        product.sum().item()
    memory.mul_(-1)
    try:
        found = t.autograd.grad(product.square().sum(), [w, v, s], allow_unused=True)
    except RuntimeError as error:
        return str(error).split(":")[0]
    return [None if g is None else g.tolist() for g in found]


@pytest.mark.parametrize("name", list(MODES))
@pytest.mark.parametrize("source", PRODUCTS)
def test_what_is_written_later(source: str, name: str) -> None:
    for late in (False, True):
        wanted = gradients(torch, source, late)
        with mode(name):
            for _ in range(3):
                found = gradients(flambeau, source, late)
                if isinstance(wanted, str):
                    assert found == wanted
                    continue
                for one, other in zip(found, wanted, strict=True):
                    assert (one is None) == (other is None)
                    assert one is None or flambeau.allclose(
                        flambeau.tensor(one), flambeau.tensor(other), rtol=1e-4, atol=1e-3
                    )


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4), (2, 1, 4), (3, 4)])
@pytest.mark.parametrize("written", range(3))
@pytest.mark.parametrize("alike", [False, True])
def test_attention(batch_first: bool, shape: Any, written: int, alike: bool) -> None:
    def gradient(t: Any) -> Any:
        layer = t.nn.MultiheadAttention(4, 2, batch_first=batch_first)
        with t.no_grad():
            for n, p in enumerate(layer.parameters()):
                p.copy_((t.arange(p.numel()) + n).sin().reshape(p.shape))
        given = [(t.arange(24.0)[: torch.Size(shape).numel()] * k).cos() for k in (1, 2, 3)]
        given = [x.reshape(shape) for x in given]
        result = layer(*(given if not alike else [given[0]] * 3))[0]
        given[written].add_(1)
        try:
            result.square().sum().backward()
        except RuntimeError:
            return "refused"
        return layer.in_proj_weight.grad.flatten().tolist()

    found, wanted = gradient(flambeau), gradient(torch)
    if wanted != "refused":
        wanted = pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert found == wanted
