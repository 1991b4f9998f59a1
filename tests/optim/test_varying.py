"""Hyper-parameters that change in every step, as schedules of momentum and of weight decay have it:
PyTorch's results, and no new program for each value.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

import flambeau
from flambeau.optim.varying import Varying
from flambeau.record.statistics import STATISTICS

SHAPES = [(5, 7), (33,), (), (2, 3, 4)]

CASES: list[tuple[str, dict[str, Any], dict[str, list[Any]]]] = [
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}, {"weight_decay": [0.1, 0.2, 0.25, 0.3, 0.0, 0.4]}),
    ("SGD", {"lr": 0.05, "momentum": 0.8}, {"momentum": [0.8, 0.85, 0.4, 0.9, 0.95, 0.7]}),
    (
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.1},
        {"momentum": [0.8, 0.85, 0.4, 0.9], "dampening": [0.1, 0.2, 0.3, 0.0, 0.1]},
    ),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True}, {"momentum": [0.8, 0.3, 0.6, 0.9]}),
    ("Adam", {}, {"betas": [(0.95, 0.99), (0.9, 0.98), (0.4, 0.97), (0.3, 0.4), (0.0, 0.9)]}),
    ("Adam", {"weight_decay": 0.1}, {"weight_decay": [0.1, 0.2, 0.3, 0.4, 0.0, 0.5]}),
    ("Adam", {"amsgrad": True}, {"eps": [1e-8, 1e-4, 1e-3, 0.0, 1e-2]}),
    ("AdamW", {}, {"weight_decay": [0.1, 0.2, 0.3, 0.4, 0.0, 0.5], "betas": [(0.9, 0.99)]}),
    ("RMSprop", {"centered": True}, {"alpha": [0.9, 0.95, 0.4, 0.99]}),
    ("RMSprop", {"momentum": 0.5}, {"momentum": [0.5, 0.6, 0.8, 0.9], "eps": [1e-8, 1e-3, 1e-2]}),
    ("Adagrad", {"weight_decay": 0.1}, {"weight_decay": [0.1, 0.2, 0.3], "eps": [1e-8, 1e-3]}),
    ("Adadelta", {}, {"rho": [0.9, 0.95, 0.4, 0.99], "eps": [1e-6, 1e-4, 1e-3]}),
    ("Adamax", {}, {"betas": [(0.95, 0.99), (0.9, 0.98), (0.4, 0.97), (0.3, 0.4)]}),
    ("NAdam", {"decoupled_weight_decay": True}, {"weight_decay": [0.1, 0.2, 0.3, 0.0, 0.4]}),
    ("NAdam", {}, {"betas": [(0.95, 0.99), (0.9, 0.98), (0.4, 0.97), (0.3, 0.4)]}),
    ("RAdam", {"decoupled_weight_decay": True}, {"weight_decay": [0.1, 0.2, 0.3, 0.0, 0.4]}),
    ("RAdam", {}, {"betas": [(0.95, 0.99), (0.9, 0.98), (0.4, 0.97), (0.3, 0.4)]}),
    ("ASGD", {"weight_decay": 0.1}, {"weight_decay": [0.1, 0.2, 0.3, 0.0, 0.4]}),
    ("Adafactor", {"weight_decay": 0.1}, {"weight_decay": [0.1, 0.2, 0.3, 0.0, 0.4]}),
]


def _parameters(library: Any, dtype: str) -> list[Any]:
    generator = library.Generator().manual_seed(0)
    drawn = [library.randn(s, generator=generator) for s in SHAPES]
    return [d.to(getattr(library, dtype)).requires_grad_() for d in drawn]


def _step(library: Any, optimizer: Any, params: list[Any], step: int) -> None:
    generator = library.Generator().manual_seed(100 + step)
    for param in params:
        param.grad = library.randn(param.shape, generator=generator).to(param.dtype)
    optimizer.step()


def _set(optimizer: Any, schedule: dict[str, list[Any]], step: int) -> None:
    for entry, values in schedule.items():
        optimizer.param_groups[0][entry] = values[step % len(values)]


def _run(
    library: Any, name: str, options: dict[str, Any], schedule: dict[str, list[Any]], dtype: str
) -> tuple[list[Any], Any]:
    params = _parameters(library, dtype)
    optimizer = getattr(library.optim, name)(params, **options)
    for step in range(12):
        _set(optimizer, schedule, step)
        _step(library, optimizer, params, step)
    return [p.detach() for p in params], optimizer.state_dict()["state"]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options", "schedule"), CASES)
def test_steps_are_pytorchs(
    name: str, options: dict[str, Any], schedule: dict[str, list[Any]], dtype: str
) -> None:
    torch = pytest.importorskip("torch")
    from beside_torch import same

    if dtype == "float32":
        ulps = {"rtol": 3e-6, "atol": 1e-7, "of_largest": 3e-7}
    else:
        ulps = {"rtol": 3e-13, "atol": 1e-15, "of_largest": 1e-15}
    for mine, other in zip(
        _run(flambeau, name, options, schedule, dtype),
        _run(torch, name, options, schedule, dtype),
        strict=True,
    ):
        same(mine, other, **ulps)


@pytest.mark.parametrize(("name", "options", "schedule"), CASES)
def test_known_kinds_of_numbers_are_known_programs(
    name: str,
    options: dict[str, Any],
    schedule: dict[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(STATISTICS, "plans", 0)
    params = _parameters(flambeau, "float32")
    optimizer = getattr(flambeau.optim, name)(params, **options)
    period = max(len(values) for values in schedule.values())
    plans = []
    for step in range(12 * period):
        for entry, values in schedule.items():  # numbers that were never there, of the same kinds
            value, factor = values[step % len(values)], 1 - 1e-4 * step
            optimizer.param_groups[0][entry] = (
                tuple(v * factor for v in value) if isinstance(value, tuple) else value * factor
            )
        _step(flambeau, optimizer, params, step)
        params[0].sum().item()
        plans.append(STATISTICS.plans)
    assert plans[-1] == plans[6 * period]


def test_one_that_changes_once_and_comes_back() -> None:
    def run(again: bool) -> list[Any]:
        params = _parameters(flambeau, "float32")
        optimizer = flambeau.optim.AdamW(params, weight_decay=0.1)
        if again:
            optimizer.expect_changes("weight_decay")
        for step in range(9):
            optimizer.param_groups[0]["weight_decay"] = 0.5 if 3 <= step < 6 else 0.1
            _step(flambeau, optimizer, params, step)
        return [p.tolist() for p in params]

    assert run(False) == run(True)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_schedule_of_momentum_says_so_beforehand(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = _parameters(flambeau, "float32")
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(flambeau.optim, name)(params, lr=0.01, **options)
    schedule = flambeau.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=30)
    plans = []
    for step in range(20):
        _step(flambeau, optimizer, params, step)
        schedule.step()
        params[0].sum().item()
        plans.append(STATISTICS.plans)
    assert plans[-1] == plans[2]


def test_copies_and_groups_go_their_own_ways() -> None:
    params = _parameters(flambeau, "float32")
    groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.0}]
    optimizer = flambeau.optim.AdamW(groups, weight_decay=0.1)
    for step in range(4):
        optimizer.param_groups[0]["weight_decay"] = 0.1 + 0.1 * step
        _step(flambeau, optimizer, params, step)
    other_params, other = copy.deepcopy((params, optimizer))
    for step in range(4, 8):
        for one, them in ((optimizer, params), (other, other_params)):
            one.param_groups[0]["weight_decay"] = 0.1 + 0.1 * step
            one.param_groups[1]["weight_decay"] = 0.2 if step == 6 else 0.0
            _step(flambeau, one, them, step)
    for a, b in zip(params, other_params, strict=True):
        assert a.tolist() == b.tolist()


def test_a_compiled_step_sees_them() -> None:
    def run(compiled: bool) -> list[Any]:
        flambeau.manual_seed(0)
        net = flambeau.nn.Linear(5, 3)
        optimizer = flambeau.optim.Adam(net.parameters(), lr=0.01)
        x = flambeau.randn(8, 5)

        def train() -> Any:
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        call = flambeau.compile(train) if compiled else train
        losses = []
        for step in range(12):
            if step > 5:
                optimizer.param_groups[0]["betas"] = (0.9 - 0.02 * step, 0.999)
            losses.append(call().item())
        return losses

    assert run(True) == pytest.approx(run(False), rel=1e-5)


def test_what_chooses_the_program() -> None:
    def kinds(*betas: float) -> Varying:
        return Varying({"betas": betas, "eps": 1e-8}, ("betas",))

    assert kinds(0.9, 0.99).like(kinds(0.8, 0.95))
    assert not kinds(0.9, 0.99).like(kinds(0.4, 0.99))  # the other end of the blend is nearer
    assert not kinds(0.9, 0.99).like(kinds(0.0, 0.99))
    assert not kinds(0.0, 0.99).like(kinds(-0.1, 0.99))
    assert kinds(0.9, 0.99).pairs() == [0.9, 1 - 0.9, 0.99, 1 - 0.99]
    tensors = {"betas": (flambeau.tensor(0.9), flambeau.tensor(0.99))}
    assert not Varying(tensors, ("betas",)).entries
