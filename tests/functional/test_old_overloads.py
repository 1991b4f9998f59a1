"""What older programs do and PyTorch deprecates, beside it: `x.add_(-0.1, g)`, masks of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity

CALLS = """
x.add(2, y) | x.add_(-0.5, y) | torch.add(x, 2, y) | torch.add(x, 2, y, out=z.clone())
x.sub(2, y) | x.sub_(0.5, y) | torch.sub(x, 2, y) | x.add_(2.0, 3.0) | x.add_(torch.tensor(2.0), y)
x.addcmul(0.5, y, z) | x.addcmul_(0.5, y, z) | torch.addcmul(x, 0.5, y, z)
x.addcdiv(0.5, y, z) | x.addcdiv_(-0.5, y, z) | torch.addcdiv(x, 0.5, y, z)
x.addmm(2, 3, y, z) | x.addmm(2, y, z) | x.addmm_(2, 3, y, z) | x.addmm_(2, y, z)
torch.addmm(2, x, 3, y, z) | torch.addmm(2, x, y, z) | torch.addmm(2, x, y, z, out=y.clone())
v.addmv(2, 3, y, w) | v.addmv_(2, y, w) | torch.addmv(2, v, 3, y, w) | torch.addmv(2, v, y, w)
x.addr(2, 3, v, w) | x.addr_(2, v, w) | torch.addr(2, x, 3, v, w) | torch.addr(2, x, v, w)
b.baddbmm(2, 3, b, b) | b.baddbmm_(2, b + 1, b + 1) | torch.baddbmm(2, b, 3, b, b)
x.addbmm(2, 3, b, b) | x.addbmm_(2, b, b) | torch.addbmm(2, x, 3, b, b) | torch.addbmm(2, x, b, b)
x.add_(True, y) | x.long().add_(1.5, y.long()) | x.add(y, 2) | x.add(2, y, z) | x.addcmul(y, y, z)
x.addmm(y, y, z) | x.addmm(1, 2, 3, y, z)
""".replace("\n", "|").split("|")


def _evaluated(torch: ModuleType, call: str) -> Any:
    numbers = np.random.default_rng(0).standard_normal((6, 3, 3)).astype(np.float32)
    x, y, z = (torch.tensor(part) for part in numbers[:3])
    names = {"x": x, "y": y, "z": z.abs() + 1, "v": x[0].clone(), "w": y[0].clone()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = eval(call, {"torch": torch, "b": torch.tensor(numbers[3:]), **names})
        except Exception as error:
            # (PyTorch's words for arguments that fit no overload list all overloads.)
            return type(error), "" if isinstance(error, TypeError) else str(error)
    return value.numpy()


@pytest.mark.parametrize("call", [call.strip() for call in CALLS if call.strip()])
def test_factor_first(call: str) -> None:
    ours, theirs = _evaluated(flambeau, call), _evaluated(torch, call)
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple) and ours[0] is theirs[0]
        assert ours[1].splitlines()[:1] == theirs[1].splitlines()[:1]
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_old_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """SGD with momentum as it was written then: the same bits as with keywords; one warning."""
    from flambeau.functional import factors_first

    monkeypatch.setattr(factors_first, "_warned", [])

    def trained(old: bool) -> Any:
        flambeau.manual_seed(0)
        w = flambeau.randn(4, requires_grad=True)
        x, velocity = flambeau.randn(8, 4), flambeau.zeros(4)
        for _ in range(6):
            (x @ w).tanh().pow(2).sum().backward()
            assert w.grad is not None
            if old:
                velocity.mul_(0.9).add_(0.1, w.grad.data)
                w.data.add_(-0.05, velocity).addcdiv_(-1e-3, velocity, velocity.abs() + 1)
            else:
                velocity.mul_(0.9).add_(w.grad.data, alpha=0.1)
                w.data.add_(velocity, alpha=-0.05)
                w.data.addcdiv_(velocity, velocity.abs() + 1, value=-1e-3)
            w.grad.data.zero_()
        return w.tolist()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert trained(True) == trained(False)
    assert [str(one.message).splitlines() for one in said] == [
        [
            "This overload of add_ is deprecated:",
            "\tadd_(Number alpha, Tensor other)",
            "Consider using one of the following signatures instead:",
            "\tadd_(Tensor other, *, Number alpha = 1)",
        ]
    ]
    assert said[0].filename == __file__


DEPRECATED = [
    "torch.where(m, x, x + 1)", "x[m]", "x[m[:, 0]]", "x[1, m[1]]",
    "torch.meshgrid(x[0], x[1])[0]", "torch.meshgrid(x[0], x[1], indexing='xy')[0]",
]  # fmt: skip


@pytest.fixture
def said_each_time() -> Iterator[None]:
    """PyTorch gives some warnings once in a process: other tests may have had them."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("how", DEPRECATED)
def test_warnings(how: str, said_each_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from flambeau.core import notice

    monkeypatch.setattr(notice, "_given", set())
    values, words = [], []
    for module in (flambeau, torch):
        x = module.arange(6.0).reshape(2, 3)
        m = module.tensor([[1, 0, 1], [0, 1, 1]], dtype=module.uint8)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            values.append(eval(how, {"torch": module, "x": x, "m": m}).tolist())
        words.append({str(one.message).split(" (Triggered")[0] for one in said})
        if module is flambeau:
            assert {one.filename for one in said} <= {"<string>"}  # the user's line
    assert values[0] == values[1]
    assert words[0] == words[1]
