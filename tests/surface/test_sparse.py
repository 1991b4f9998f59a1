"""Sparse tensors beside PyTorch's: what lines give, how it prints, gradients, optimizers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# Evaluated with the tensors of `_names`; the texts of the results are compared.
LINES = (
    "s+s2",
    "(s+s2).is_coalesced()",
    "sc+sc",
    "(sc+sc).is_coalesced()",
    "sc+s2.coalesce()",
    "sc-s2.coalesce()",
    "s2",
    "s2.coalesce()",
    "s2.to_dense()",
    "sc*D",
    "sc*D[0]",
    "sc*D[:,:1]",
    "sc*torch.tensor(2.)",
    "sc/D",
    "(s*2).is_coalesced()",
    "(sc*2).is_coalesced()",
    "sc.t().is_coalesced()",
    "sc.t()",
    "s2.neg()",
    "s2.abs()",
    "s2.sin()",
    "s2**2",
    "s2.pow(0.5)",
    "g",
    "L",
    "g.requires_grad, g.is_leaf, L.is_leaf",
    "g*2",
    "g.coalesce()",
    "g.t()",
    "valgrad(lambda s:s@D)",
    "leafgrad(lambda s:s.to_dense()*D)",
    "valgrad(lambda s:(s*2).to_dense()*D)",
    "valgrad(lambda s:torch.sparse.sum(s))",
    "valgrad(lambda s:torch.sparse.sum(s,0).to_dense())",
    "valgrad(lambda s:(s+s).to_dense())",
    "valgrad(lambda s:s.coalesce().values())",
    "valgrad(lambda s:D@s)",
    "h",
    "h.to_dense()",
    "h.coalesce()",
    "h.sparse_dim(),h.dense_dim()",
    "h.t()",
    "h*2",
    "h+h",
    "W",
    "W.dtype",
    "W.to_dense()",
    "torch.sparse_coo_tensor([[0,5]],[1.,2.],(3,))",
    "torch.sparse_coo_tensor([[0,-1]],[1.,2.],(3,))",
    "torch.sparse_coo_tensor([[0,1]],[1.,2.,3.],(3,))",
    "torch.sparse_coo_tensor([[0,1]],[1.,2.],(3,3))",
    "torch.sparse_coo_tensor([[0,1]],[1.,2.],(2,),dtype=torch.float64)",
    "torch.sparse_coo_tensor([[0,1]],[1.,2.],(2,),is_coalesced=True).indices()",
    "torch.sparse_coo_tensor([0,1],[1.,2.],(2,))",
    "torch.sparse_coo_tensor((2,3)).to_dense()",
    "torch.sparse_coo_tensor(size=(2,3))",
    "torch.sparse_coo_tensor([[0.5]],[1.])",
    "D.to_sparse()",
    "D.to_sparse(1)",
    "D.to_sparse(layout=torch.sparse_csr)",
    "D.to_sparse_csr()",
    "D.to_sparse_csc()",
    "D.to_sparse(5)",
    "D.is_coalesced()",
    "D.indices()",
    "D.to_dense() is D",
    "D.sparse_mask(sc)",
    "c.to_sparse_coo().is_coalesced()",
    "c@c",
    "c+c",
    "c*c",
    "c*D",
    "-c",
    "c.t()@D",
    "c.to_sparse_csc()",
    "c.abs()",
    "c.clone()",
    "c.detach().layout",
    "c.requires_grad_()",
    "torch.sparse_csr_tensor([0,2,2,3],[0,1,2],[1.,2.,3.])",
    "torch.sparse_csr_tensor([0,2,2],[0,1,2],[1.,2.,3.],(3,3))",
    "torch.sparse_csr_tensor([0,2,2,3],[0,1,7],[1.,2.,3.],(3,3))",
    "torch.sparse_csr_tensor(torch.tensor([0,2,2,3]),torch.tensor([0,1,2]),torch.tensor([1,2,3]),dtype=torch.float64)",
    "s.sum(0)",
    "s.sum(1,keepdim=True)",
    "torch.sparse.sum(h,0)",
    "torch.sparse.sum(h,1)",
    "torch.sparse.sum(s,dtype=torch.float64)",
    "torch.sparse.mm(D,D)",
    "torch.sparse.mm(D,s)",
    "torch.sparse.addmm(D,s,D,beta=2,alpha=3)",
    "torch.sparse.softmax(s2,0)",
    "torch.sparse.softmax(s2,1,dtype=torch.float64)",
    "torch.mm(s,D[:2])",
    "s@D[:2]",
    "s@D.double()",
    "s.double()@D.double()",
    "s[1]",
    "s[1,2]",
    "s[-1]",
    "s[3]",
    "h[1]",
    "s.clone().mul_(3)",
    "s.clone().div_(2)",
    "s.clone().add_(s2)",
    "s.clone().zero_()",
    "s.norm()",
    "s2.norm()",
    "s.to(torch.float16)",
    "s.to('cpu') is s",
    "s.to(torch.int32)",
    "s.float() is s",
    "s.long()",
    "s.T.shape,s.mT.shape",
    "s.transpose(0,-1).shape",
    "h.transpose(0,1)",
    "s.unsqueeze(1).shape",
    "s.permute(1,0)",
    "torch.eye(2).to_sparse().numpy()",
    "torch.tensor(3.)*s",
    "D+s",
    "D-s",
    "D*s",
    "s.is_same_size(s)",
    "torch.is_tensor(s)",
    "s.numel()",
    "s.element_size()",
    "s.add(1)",
    "s+1",
    "s.detach() is s",
    "s.data",
    "s.sparse_mask(sc)",
    "s.isnan()",
    "s.sign()",
    "s.half().dtype",
    "s.type()",
    "s.is_floating_point()",
    "L.grad",
    "torch.sparse_coo_tensor(i,v.requires_grad_(),(3,3)).to_sparse_csr()",
    "D.t().to_sparse().is_coalesced()",
)


def _names(m: Any) -> dict[str, Any]:
    i = m.tensor([[0, 1, 1, 2], [2, 0, 2, 0]])
    v = m.tensor([3.0, 4.0, 5.0, 6.0])
    s = m.sparse_coo_tensor(i, v, (3, 3))

    def leafgrad(function: Any) -> Any:
        leaf = m.sparse_coo_tensor(i, v, (3, 3), requires_grad=True)
        function(leaf).sum().backward()
        return leaf.grad

    def valgrad(function: Any) -> Any:
        x = v.clone().requires_grad_()
        function(m.sparse_coo_tensor(i, x, (3, 3))).sum().backward()
        return x.grad

    return {
        "torch": m, "i": i, "v": v, "s": s, "sc": s.coalesce(), "D": m.arange(9.0).reshape(3, 3),
        "s2": m.sparse_coo_tensor([[0, 0, 2], [0, 0, 1]], [1.0, 2.0, -3.0], (3, 3)),
        "g": m.sparse_coo_tensor(i, v.clone().requires_grad_(), (3, 3)),
        "L": m.sparse_coo_tensor(i, v, (3, 3), requires_grad=True),
        "h": m.sparse_coo_tensor([[0, 1, 1]], m.arange(6.0).reshape(3, 2), (3, 2)),
        "W": m.sparse_coo_tensor([[0, 2]], [1, 2]),
        "c": m.sparse_csr_tensor([0, 2, 2, 3], [0, 1, 2], [1.0, 2.0, 3.0], (3, 3)),
        "leafgrad": leafgrad, "valgrad": valgrad,
    }  # fmt: skip


def _told(module: Any, line: str) -> str:
    try:
        return str(eval(line, _names(module))).replace("flambeau.", "torch.")
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


@pytest.mark.parametrize("line", LINES)
def test_line(line: str) -> None:
    assert _told(flambeau, line) == _told(torch, line)


@pytest.mark.parametrize(
    "line",
    ["s.exp()", "s.argmax()", "s == s", "s.view(9)", "torch.equal(s, s)", "torch.unique(s)",
     "s.nonzero()", "torch.add(s, s)", "D.add_(s)", "torch.nn.functional.relu(s)", "s[:2]"],
)  # fmt: skip
def test_what_is_not_there_says_so(line: str) -> None:
    with pytest.raises(NotImplementedError, match="to_dense"):
        eval(line, _names(flambeau))


def test_random_products() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((7, 5)) < 0.4
    a, b = rng.standard_normal((7, 5)) * mask, rng.standard_normal((5, 3))
    found: list[Any] = []
    for m in (flambeau, torch):
        x, d = m.tensor(a).to_sparse(), m.tensor(b, requires_grad=True)
        values = x.values().clone().requires_grad_()
        s = m.sparse_coo_tensor(x.indices(), values, (7, 5))
        made = m.sparse.mm(s, d)
        (made * made).sum().backward()
        again = m.sparse.mm(s, s.t().coalesce()).to_dense()
        found.append([made, values.grad, d.grad, again, (s @ d[:, 0]), d.detach().t() @ s.t()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9)


def test_copies() -> None:
    s = flambeau.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (3,)).coalesce()
    for made in (copy.deepcopy(s), pickle.loads(pickle.dumps(s)), s.clone(), s.to_sparse()):
        assert repr(made) == repr(s) and made.is_coalesced()


RULES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1}, "SGD momentum": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "SGD maximize": {"lr": 0.1, "maximize": True}, "Adagrad": {"lr": 0.1, "lr_decay": 0.1},
    "SparseAdam": {"lr": 0.1}, "SGD decay": {"lr": 0.1, "weight_decay": 0.1},
    "Adam": {"lr": 0.1}, "AdamW": {"lr": 0.1}, "RMSprop": {"lr": 0.1}, "RAdam": {"lr": 0.1},
}  # fmt: skip


def _trained(m: Any, rule: str, bag: bool) -> Any:
    m.manual_seed(0)
    if bag:
        table = m.nn.EmbeddingBag(6, 3, sparse=True, mode="sum")
    else:
        table = m.nn.Embedding(6, 3, sparse=True, padding_idx=1)
    optimizer = getattr(m.optim, rule.split()[0])(table.parameters(), **RULES[rule])
    index = m.tensor([[1, 2], [2, 4], [0, 5]])
    try:
        for step in range(3):
            optimizer.zero_grad()
            for part in (index, index[step : step + 1]):
                (table(part) ** 2).sum().backward()
            told = repr(table.weight.grad.coalesce().indices())
            optimizer.step()
    except (RuntimeError, NotImplementedError) as error:
        return type(error).__name__, str(error)
    return told, table.weight.detach().numpy(), table.weight.grad.to_dense().numpy()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bag", [False, True])
def test_tables_with_sparse_gradients(rule: str, bag: bool) -> None:
    ours, theirs = _trained(flambeau, rule, bag), _trained(torch, rule, bag)
    assert ours[0] == theirs[0]
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        if isinstance(b, str):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradient_of_a_lookup_prints_as_pytorch() -> None:
    told = []
    for m in (flambeau, torch):
        weight = m.ones(5, 2, requires_grad=True)
        for _ in range(2):
            m.nn.functional.embedding(m.tensor([3, 1, 3]), weight, sparse=True).sum().backward()
        told.append(repr(weight.grad))
    assert told[0] == told[1]
