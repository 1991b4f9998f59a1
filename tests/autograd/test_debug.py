"""`debug(nan=True)`: the op that made NaN out of numbers is named, and nothing was changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.core.errors import FoundNaN
from flambeau.record.options import OPTIONS

nn = torch.nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.blocks = nn.Sequential(Logarithm(), nn.Linear(4, 1))

    def forward(self, x: Any) -> Any:
        return self.blocks(self.fc1(x))


class Logarithm(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.log(x)


def negative_root() -> Any:
    return torch.tensor([4.0, -1.0]).sqrt().sum().item()


def module_in_a_model() -> Any:
    net = Net()
    with torch.no_grad():
        net.fc1.weight.zero_()
        net.fc1.bias.fill_(-0.5)
    return net(torch.ones(2, 3)).sum().item()


def backward_of_a_norm() -> Any:
    w = torch.zeros(3, requires_grad=True)
    torch.sqrt((w * w).sum()).backward()
    return w.grad.tolist()


def backward_in_a_program_of_its_own() -> Any:
    w = torch.zeros(3, requires_grad=True)
    loss = torch.sqrt((w * w).sum())
    loss.item()
    loss.backward()
    return w.grad.tolist()


def infinity_less_infinity() -> Any:
    x = torch.full((3,), 100.0)
    return (x.exp() - (x * 2).exp()).sum().item()


def data() -> Any:
    return (torch.tensor([[math.nan, 1.0], [2.0, 5.0]]) * 2).sum().item()


def written_in_place() -> Any:
    x = torch.tensor([1.0, 0.0, -3.0])
    x.div_(x.clone().relu_())
    return x.tolist()


CASES: list[tuple[Callable[[], Any], list[str]]] = [
    (negative_root, [r"^sqrt has made NaN .*: sqrt\(float32\[2\] from -1 to 4\)", "test_debug"]),
    (module_in_a_model, [r"^log has .*log\(float32\[2, 4\] from -0.5 to -0.5\)", "net.blocks.0$"]),
    (
        backward_of_a_norm,
        [r"^the backward of mul has .*inf, float32\[3\] from 0 to 0\)", "the backward of sqrt"],
    ),
    (backward_in_a_program_of_its_own, ["^the backward of mul has", "the backward of sqrt"]),
    (
        infinity_less_infinity,
        ["^sub has .*with 3 inf, .*with 3 inf", r"after exp \(exp\) had made"],
    ),
    (data, [r"^NaN was in the data that came in: float32\[4\] from 1 to 5 with 1 nan$"]),
    (written_in_place, [r"^div_? has made NaN out of numbers: div\("]),
]


@pytest.fixture(params=["auto", "compiled"])
def executor(request: Any, monkeypatch: Any) -> str:
    monkeypatch.setattr(OPTIONS, "executor", request.param)
    return str(request.param)


@pytest.mark.parametrize(("case", "said"), CASES, ids=[c.__name__ for c, _ in CASES])
def test_the_op_is_named(case: Callable[[], Any], said: list[str], executor: str) -> None:
    with torch.debug(nan=True):
        for _ in range(3):  # recorded, recognised, compiled
            with pytest.raises(FoundNaN) as caught:
                case()
            lines = "\n".join(str(caught.value).splitlines())
            for pattern in said:
                caught.match("(?m)" + pattern)
            assert "recorded at" in lines or case is data
    case()  # says nothing any more


def test_what_has_no_nan_runs_as_ever(executor: str) -> None:
    def train() -> list[str]:
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
        optimizer = torch.optim.Adam(net.parameters())
        x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 1, 0])
        found = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            found.append(loss.item().hex())
        return found

    with torch.debug(nan=True):
        watched = train()
    plain = train()
    if executor == "compiled":
        assert watched == plain
    else:
        numbers = [[float.fromhex(x) for x in run] for run in (watched, plain)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-6)


def test_infinities_that_stay_infinities_are_fine(executor: str) -> None:
    with torch.debug(nan=True):
        mask = torch.full((4, 4), -math.inf).triu(1)
        scores = torch.zeros(4, 4) + mask
        assert torch.softmax(scores, -1)[0].tolist() == [1.0, 0.0, 0.0, 0.0]
        assert mask[0, 1].item() == -math.inf


def test_nothing_is_changed_by_a_step_that_fails(executor: str) -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    data = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([[-1e38, 9.0]])]

    def step(x: Any) -> None:
        optimizer.zero_grad()
        out = net(x * 1e2)
        loss = (out - out * 10).sum() if x is data[-1] else out.square().mean() * 1e-6
        loss.backward()
        optimizer.step()
        loss.item()

    with torch.debug(nan=True):
        for x in data[:-1]:
            step(x)
        before = [p.tolist() for p in net.parameters()]
        with pytest.raises(FoundNaN):
            step(data[-1])
        assert [p.tolist() for p in net.parameters()] == before


def test_compiled_functions_are_watched_too() -> None:
    @torch.compile
    def root(x: Any) -> Any:
        return torch.sqrt(x)

    good, bad = torch.tensor([4.0]), torch.tensor([-4.0])
    for _ in range(4):
        root(good).item()
    with torch.debug(nan=True):
        for _ in range(4):
            assert root(good).item() == 2.0
        with pytest.raises(FoundNaN, match="NaN out of numbers: sqrt"):
            root(bad).item()
        assert root(good).item() == 2.0
    assert math.isnan(root(bad).item())


def test_on_and_off() -> None:
    assert not OPTIONS.watch_nan
    torch.debug(nan=True)
    with torch.debug(nan=False):
        assert math.isnan(negative_root())
    with pytest.raises(FoundNaN):
        negative_root()
    torch.debug(nan=False)
    assert math.isnan(negative_root())
    with pytest.raises(TypeError):
        torch.debug(True)  # type: ignore[misc]
