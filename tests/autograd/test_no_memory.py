"""Memory that no machine has: PyTorch's error, and the next statement works."""

from __future__ import annotations

import pytest

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
torch.empty(10**12)
---
torch.empty(10**13)
seen(1)
---
torch.empty(10**15)
---
torch.empty(10**18)
---
torch.empty(2**33,2**33)
---
torch.zeros(10**13)
---
torch.zeros(10**15)
---
torch.ones(10**15)
---
torch.full((10**15,),1.)
---
torch.arange(10**15)
---
torch.arange(10**14)
---
torch.eye(10**8)
---
torch.zeros(2**40,2**40)
---
torch.zeros(10**15).sum().item()
---
torch.empty(-1)
---
torch.zeros(2,-1)
---
x=torch.ones(10**7,1)
y=x@x.t()
seen(y.sum())
---
x=torch.ones(10**7,1)
y=x+x.t()
y.sum().item()
---
x=torch.ones(1).expand(10**13)
y=x.clone()
seen(y.shape[0])
---
x=torch.ones(1).expand(10**13)
y=x*2
seen(y[0].item())
---
x=torch.ones(10)
y=x.repeat(10**13)
seen(y[0].item())
---
torch.linspace(0,1,10**14)
---
torch.empty(3,dtype=torch.int8).resize_(10**15)
---
torch.empty(10**15,dtype=torch.int8)
---
torch.tensor([1.]).expand(10**15).contiguous()[0].item()
---
torch.empty_strided((10**10,),(10**6,))
---
torch.zeros(10**15,requires_grad=True)
---
torch.cat([torch.ones(1).expand(10**14)]*2)[0].item()
---
torch.nn.functional.pad(torch.ones(2),(0,10**14))[0].item()
---
torch.nn.functional.one_hot(torch.tensor([1]),10**14)[0,0].item()
---
torch.empty_like(torch.ones(1).expand(10**15))
---
torch.empty(0,10**15)
seen(2)
---
torch.zeros(2, -1)
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(source)
    lines = "".join(f" {line}\n" for line in source.splitlines())
    check_source(f"try:\n{lines}except RuntimeError: seen(torch.ones(2).sum())")
