"""A second backward pass: refused after ops that PyTorch saves something for, and only there."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from .both import check, leaves

pytestmark = pytest.mark.parity

ELEMENTWISE = """x*2 2*x x*t x*x x/2 2/x x+x x-1 -x x**2 x.exp() x.relu() x.abs() x.sign() x.round()
x.clone() x.double() x.cumsum(0) x.flip(0) x.roll(1) x.repeat(2) x.clamp(0,1) x.softmax(0)
x.view(1,3) x.expand(2,3) x[1] x[i] x.gather(0,i) x.split(1)[0] x.sort()[0] x.max() x.mean()
x.sum() x.var() x.norm() x.prod() x.tile(2) x.unsqueeze(0) x.clone().add_(1) x.clone().mul_(2)
m@m m@n n@m m.t() m.tril() m.triu() m.diagonal() m.prod(0) m.mean(0) m.max(0)[0]
torch.cat([x,x]) torch.stack([x,x]) torch.lerp(x,x,0.5) torch.lerp(x,x,x) torch.addcmul(x,x,x)
torch.where(c,x,x) x.masked_fill(c,0.) torch.bmm(m[None],n[None]) F.linear(n,m,x) F.linear(n,m)
F.linear(n[None],m,x) F.mse_loss(x,t) F.l1_loss(x,t) F.cross_entropy(m,i) F.dropout(x,0.0)
F.layer_norm(x,(3,)) F.pad(x,(1,1)) F.embedding(i,m) F.leaky_relu(x) F.gelu(x)
F.avg_pool1d(m,2) F.max_pool1d(m,2) F.conv1d(n[None],m[None]) x*x.sum()""".split()


def cases(torch: Any, seen: Any) -> dict[str, Any]:
    functional = importlib.import_module(torch.__name__ + ".nn.functional")
    leaf = leaves(torch)

    def twice(text: str, settled: bool) -> Any:
        x = leaf()
        m = torch.stack([leaf(), leaf(), leaf()]).detach().requires_grad_()
        names = {
            "torch": torch, "F": functional, "x": x, "m": m,
            "n": torch.stack([leaf()] * 3).detach(), "t": leaf().detach(),
            "i": torch.tensor([0, 1, 0]),
            "c": torch.tensor([True, False, True]),
        }  # fmt: skip
        result = eval(text, names).sum()
        if settled:
            seen(result.item())
        result.backward()
        if settled:
            seen(x.grad if x.grad is not None else m.grad)
        result.backward()
        return [x.grad, m.grad]

    return {
        f"{text} {settled}": lambda text=text, settled=settled: twice(text, settled)
        for text in ELEMENTWISE
        for settled in (False, True)
    }


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("text", ELEMENTWISE)
def test_second_pass(text: str, settled: bool) -> None:
    check(cases, f"{text} {settled}")
