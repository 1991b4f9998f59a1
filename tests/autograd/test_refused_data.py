"""Data that an op refuses: the exception comes even where only a gradient is read."""

from __future__ import annotations

import pytest

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
F.binary_cross_entropy(y,torch.ones(2,3)).backward()
seen(x.grad)
---
F.binary_cross_entropy(y,torch.ones(2,3),reduction='sum').backward()
seen(x.grad)
---
F.binary_cross_entropy(y,torch.ones(2,3),torch.ones(3),reduction='none').sum().backward()
seen(x.grad)
---
F.cross_entropy(y,torch.tensor([0,3])).backward()
seen(x.grad)
---
F.cross_entropy(y,torch.tensor([0,3]),reduction='sum').backward()
seen(x.grad)
---
F.cross_entropy(y,torch.tensor([0,-1])).backward()
seen(x.grad)
---
F.cross_entropy(y,torch.tensor([0,3]),torch.ones(3),label_smoothing=0.1).backward()
seen(x.grad)
---
F.nll_loss(y,torch.tensor([0,3])).backward()
seen(x.grad)
---
F.embedding(torch.tensor([3]),x).sum().backward()
seen(x.grad)
---
F.embedding(torch.tensor([0]),x,padding_idx=0)[torch.tensor([4])].sum().backward()
seen(x.grad)
---
torch.gather(y,1,torch.tensor([[4]])).sum().backward()
seen(x.grad)
---
y[torch.tensor([4])].sum().backward()
seen(x.grad)
---
y[:,torch.tensor([4])].sum().backward()
seen(x.grad)
---
y.index_select(0,torch.tensor([4])).sum().backward()
seen(x.grad)
---
F.multi_margin_loss(y,torch.tensor([0,3])).backward()
seen(x.grad)
---
F.multilabel_margin_loss(y,torch.tensor([[0,3,-1],[1,-1,-1]])).backward()
seen(x.grad)
---
(y*torch.bernoulli(torch.full((2,3),2.))).sum().backward()
seen(x.grad)
---
F.cosine_embedding_loss(y,y,torch.tensor([1,5])).backward()
seen(1)
---
F.binary_cross_entropy(y*0.01,torch.ones(2,3)*2).backward()
seen(x.grad)
---
seen(F.binary_cross_entropy(y*0.01,torch.ones(2,3)*2))
---
seen(F.binary_cross_entropy(y*float('nan'),torch.ones(2,3)))
---
seen(torch.zeros(3,2).index_add_(0,torch.tensor([3]),torch.ones(1,2)))
---
seen(torch.zeros(3,2).index_add_(1,torch.tensor([-1]),torch.ones(3,1)))
---
seen(torch.zeros(3,2).index_add_(1,torch.tensor([2]),torch.ones(3,1)))
---
seen(torch.zeros(3).index_add_(0,torch.tensor([-1]),torch.ones(1)))
---
seen(torch.zeros(3,2)[torch.tensor([0]),torch.tensor([2])])
---
seen(torch.zeros(3,2)[torch.tensor([3]),torch.tensor([1])])
---
seen(torch.zeros(3,2,4)[:,torch.tensor([0]),torch.tensor([-5])])
---
z=torch.zeros(3,2)
z[torch.tensor([0]),torch.tensor([2])]=1.
seen(z)
---
z=torch.zeros(3,2)
z[:,torch.tensor([2])]=1.
seen(z)
---
seen(F.embedding_bag(torch.tensor([[0,1],[1,7]]),torch.ones(2,3),mode='max'))
---
seen(torch.zeros(3,2).index_fill_(1,torch.tensor([3]),1.))
---
seen(torch.zeros(3,2).index_copy_(1,torch.tensor([3]),torch.ones(3,1)))
---
seen(torch.zeros(3,2).scatter_(1,torch.tensor([[3]]),1.))
"""

START = """
F = torch.nn.functional
x = x.detach().add(2).requires_grad_()
y = x * 2
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(
        "F = torch.nn.functional\nx = x.detach().add(2).requires_grad_()\ny = x * 2\n" + source
    )
