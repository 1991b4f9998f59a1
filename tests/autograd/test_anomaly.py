"""Anomaly detection: which function has returned NaN, and what is said of it."""

from __future__ import annotations

import pytest

import flambeau

from .both import agree, check_source, outcome_of

pytestmark = pytest.mark.parity

PROGRAMS = """
with torch.autograd.detect_anomaly():
 z=(y.sqrt()*0).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=(y.log()*0).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=(y/y).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=(y/x).nan_to_num().sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=(y**0.5*0).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=y.sum(); z.backward(); seen(x.grad)
---
with torch.autograd.detect_anomaly():
 z=(y*y).sum(); z.backward(); seen(x.grad)
---
with torch.autograd.detect_anomaly():
 z=(y.sqrt()*0).sum(); seen(torch.autograd.grad(z,x))
---
with torch.autograd.detect_anomaly():
 z=torch.where(y>0, y.sqrt()*0, y).sum(); z.backward()
---
torch.autograd.set_detect_anomaly(True)
seen(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
torch.autograd.set_detect_anomaly(False)
seen(torch.is_anomaly_enabled())
(y.sqrt()*0).sum().backward()
seen(x.grad.isnan().any())
---
with torch.autograd.set_detect_anomaly(True):
 (y.sqrt()*0).sum().backward()
---
with torch.autograd.set_detect_anomaly(True):
 seen(torch.is_anomaly_enabled())
seen(torch.is_anomaly_enabled())
---
with torch.autograd.detect_anomaly(check_nan=False):
 (y.sqrt()*0).sum().backward()
seen(x.grad.isnan().any())
---
class F(torch.autograd.Function):
 @staticmethod
 def forward(ctx,a): return a.clone()
 @staticmethod
 def backward(ctx,g): return g*float('nan')
with torch.autograd.detect_anomaly():
 F.apply(y).sum().backward()
---
with torch.autograd.detect_anomaly():
 z=(y*float('nan')).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=(torch.tensor(float('nan'))*y).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=torch.nn.functional.linear(y,torch.full((4,3),float('nan'))).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=torch.atan2(y,y*0).sum(); z.backward()
---
with torch.autograd.detect_anomaly():
 z=y.sum(); z.backward(torch.tensor(float('nan')))
---
with torch.autograd.detect_anomaly():
 z=y.norm(); z.backward()
seen(x.grad)
---
with torch.autograd.detect_anomaly():
 z=(y*0).norm(); z.backward()
seen(x.grad)
---
with torch.autograd.detect_anomaly():
 z=(y[0]*0).std(); z.backward()
seen(x.grad)
---
with torch.autograd.detect_anomaly():
 z=torch.acos(y*0+1).sum(); (z*0).backward()
---
with torch.autograd.detect_anomaly():
 z=torch.nn.functional.cosine_similarity(y*0,y).sum(); (z).backward()
seen(x.grad)
"""
START = "with no_grad(): x[0, 0] = 0\ny = x * 2\n"


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(START + source)


def test_forward_before_the_mode_was_on() -> None:
    """PyTorch has no line to show then; we have."""
    for pause in ("", "z.item()\n"):
        source = START + "z = (y.sqrt() * 0).sum()\n" + pause
        source += "with torch.autograd.detect_anomaly(): z.backward()"
        agree(outcome_of(source, "torch")[0], outcome_of(source, "flambeau")[0])


def test_names_the_line() -> None:
    x = flambeau.zeros(3, requires_grad=True)
    with flambeau.autograd.set_detect_anomaly(True), pytest.warns(UserWarning) as heard:
        y = x.sqrt()
        with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values"):
            (y * 0).sum().backward()
    assert "y = x.sqrt()" in str(heard[0].message)
    assert x.grad is None


def test_overwritten_says_where() -> None:
    source = START + "with torch.autograd.set_detect_anomaly(True, check_nan=False):\n"
    source += " z = x.exp()\n z.add_(1)\n z.sum().backward()"
    agree(outcome_of(source, "torch"), outcome_of(source, "flambeau"))
