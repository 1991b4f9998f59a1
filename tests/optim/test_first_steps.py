"""The first step of a training is like those that follow: the same program, compiled before its
first run, with the states that PyTorch begins with.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS
from flambeau.record.worth import EARLY, FIRST_STEPS

ROOT = Path(__file__).resolve().parents[2]
F = torch.nn.functional

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adadelta", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1}),
    ("Rprop", {"lr": 0.1}),
]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIRST_STEPS, "waiting", 0)
    monkeypatch.setattr(EARLY, "waiting", 0.0)
    monkeypatch.setattr(EARLY, "many", False)
    monkeypatch.setattr(STATISTICS, "compiled_programs", 0)
    monkeypatch.setattr(STATISTICS, "reference_runs", 0)
    monkeypatch.setattr(STATISTICS, "plans", 0)


@pytest.fixture
def compiling() -> None:
    if OPTIONS.sync or OPTIONS.executor != "auto" or OPTIONS.background:
        pytest.skip("programs are compiled when they are worth it")


def _model(width: int, seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, 2), torch.nn.Linear(2, 1)
    )


def _data(rows: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    return torch.tensor(numbers[:, :3]), torch.tensor(numbers[:, 3:])


def _step(model: torch.nn.Module, optimizer: Any, x: torch.Tensor, y: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def _counts() -> tuple[int, int, int]:
    return STATISTICS.plans, STATISTICS.reference_runs, STATISTICS.compiled_programs


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_program_for_all_steps(name: str, options: dict[str, Any]) -> None:
    width = 7 + CASES.index((name, options))  # a program of its own
    model = _model(width)
    optimizer = getattr(torch.optim, name)(model.parameters(), **options)
    x, y = _data()
    _step(model, optimizer, x, y)
    before = _counts()
    for _ in range(3):
        _step(model, optimizer, x, y)
    assert _counts() == before  # no other plan, nothing in NumPy, nothing compiled
    assert FIRST_STEPS.waiting == 0


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("early", [False, True])
def test_zero_grad_behind_the_forward_pass(early: bool) -> None:
    model = _model(31 + early)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    x, y = _data()
    for step in range(4):
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if early:
            optimizer.zero_grad()
        loss.item()
        if step == 1:
            before = _counts()
            assert before[1] == 1  # the first weights
    assert _counts() == before


@pytest.mark.usefixtures("compiling")
def test_a_last_batch_is_not_compiled() -> None:
    model = _model(41)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        _step(model, optimizer, *_data())
    _, ran, compiled = _counts()
    _step(model, optimizer, *_data(rows=2))
    assert _counts()[1:] == (ran + 1, compiled)


@pytest.mark.usefixtures("compiling")
def test_optimizers_that_take_one_step_each() -> None:
    found = []
    for width in range(51, 51 + FIRST_STEPS.most + 2):
        model = _model(width)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        before = STATISTICS.compiled_programs
        _step(model, optimizer, *_data())
        found.append(STATISTICS.compiled_programs - before)
    assert found == [1] * FIRST_STEPS.most + [0, 0]
    before = STATISTICS.compiled_programs
    _step(model, optimizer, *_data())
    assert STATISTICS.compiled_programs == before + 1  # it has come back


EDGES = [0.0, -0.0, 1.5, -(2.0**-149), 3e38, float("inf"), -float("inf"), float("nan")]


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "complex64"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_the_first_momentum_is_the_gradient(
    dtype: str, nesterov: bool, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OPTIONS, "executor", executor)
    kind = getattr(torch, dtype)
    given = torch.tensor([complex(v, -v) if kind.is_complex else v for v in EDGES], dtype=kind)
    param = torch.ones(len(EDGES), dtype=kind, requires_grad=True)
    param.grad = given.clone()
    optimizer = torch.optim.SGD([param], lr=0.5, momentum=0.9, nesterov=nesterov)
    optimizer.step()
    buffer = optimizer.state_dict()["state"][0]["momentum_buffer"]
    assert buffer.dtype is kind
    shown = [t.view(torch.int16) if dtype == "bfloat16" else t for t in (buffer, given)]
    mine, theirs = (np.atleast_1d(t.numpy()) for t in shown)
    floats = (
        mine
        if dtype == "bfloat16"
        else mine.view(f"f{param.element_size() // (1 + kind.is_complex)}")
    )
    others = theirs if dtype == "bfloat16" else theirs.view(floats.dtype)
    bits = f"u{floats.dtype.itemsize}"
    nothing = np.isnan(others) if dtype != "bfloat16" else np.zeros(others.shape, bool)
    assert (floats.view(bits)[~nothing] == others.view(bits)[~nothing]).all()
    assert dtype == "bfloat16" or np.isnan(floats[nothing]).all()


@pytest.mark.parametrize(("name", "options"), CASES[1:])
def test_a_first_step_that_fails_leaves_no_state(name: str, options: dict[str, Any]) -> None:
    if name == "Adagrad":
        pytest.skip("its state is there from the beginning")
    model, again = _model(4), _model(4)
    x, wrong, right = _data()[0], torch.tensor([0, 1, 2, 9, 1]), torch.tensor([0, 1, 1, 0, 1])
    losses = []
    for one in (model, again):
        optimizer = getattr(torch.optim, name)(one.parameters(), **options)
        if one is model:
            optimizer.zero_grad()
            with pytest.raises(IndexError):  # op by op it is the loss that raises
                loss = F.cross_entropy(one[:3](x), wrong)
                loss.backward()
                optimizer.step()
                loss.item()
            assert optimizer.state_dict()["state"] == {}
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(one[:3](x), right)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[:3], losses[3:], rtol=1e-5)


def test_options_changed_before_the_first_step() -> None:
    states = []
    for late in (False, True):
        model = _model(5)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, amsgrad=not late)
        optimizer.zero_grad()
        optimizer.param_groups[0]["amsgrad"] = True
        F.mse_loss(model(_data()[0]), _data()[1]).backward()
        optimizer.step()
        states.append(optimizer.state_dict()["state"])
    assert all("max_exp_avg_sq" in state for state in states[1].values())
    for number, state in states[0].items():
        for key, value in state.items():
            assert value.tolist() == states[1][number][key].tolist()


def test_parameters_without_gradients_have_no_state() -> None:
    model = _model(6)
    model[0].weight.requires_grad_(False)
    unused = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([*model.parameters(), unused], lr=0.1)
    for _ in range(3):
        _step(model, optimizer, *_data())
    assert sorted(optimizer.state_dict()["state"]) == [1, 2, 3, 4, 5]
    assert not optimizer.state[model[0].weight]
    assert unused.tolist() == [1.0] * 3


def test_loaded_state_between_zero_grad_and_the_first_step() -> None:
    model = _model(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    saved = optimizer.state_dict()
    saved["state"] = {
        n: {"momentum_buffer": torch.full_like(p, 2.0)} for n, p in enumerate(model.parameters())
    }
    optimizer.zero_grad()
    optimizer.load_state_dict(saved)
    F.mse_loss(model(_data()[0]), _data()[1]).backward()
    expected = [1.0 + p.grad for p in model.parameters()]
    optimizer.step()
    for param, buffer in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(optimizer.state[param]["momentum_buffer"], buffer, rtol=1e-6)


TRAINING = """
import sys
import flambeau as torch
from flambeau.record.statistics import STATISTICS

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(9, 16), torch.nn.BatchNorm1d(16), torch.nn.ELU(), torch.nn.Linear(16, 1)
)
x, y = torch.rand(32, 9), torch.rand(32, 1)
update = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(4):
    modules = set(sys.modules)
    update.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    update.step()
    print(loss.item().hex())
    if step:
        print(*sorted(set(sys.modules) - modules), file=sys.stderr)
print(STATISTICS.reference_runs, "llvmlite" in sys.modules, file=sys.stderr)
print(*[p.sum().item().hex() for p in model.parameters()])
"""


def test_a_new_process_with_kept_programs_begins_compiled(tmp_path: Path) -> None:
    """The same bits whatever is kept, and nothing to load behind the first step."""
    said, told = [], []
    for cache in ("1", "1", "0"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FLAMBEAU_CACHE": cache}
        environment["FLAMBEAU_CACHE_DIR"] = str(tmp_path / "cache")
        for name in ("FLAMBEAU_EXECUTOR", "FLAMBEAU_SYNC", "FLAMBEAU_CHECK"):
            environment.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-c", TRAINING],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append(done.stdout)
        told.append(done.stderr.splitlines())
    assert said[0] == said[1] == said[2]
    assert told[1] == ["", "", "", "1 False"]  # (the first weights and the data run in NumPy)


@pytest.mark.usefixtures("compiling")
def test_data_made_in_each_step() -> None:
    model = _model(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    found = []
    for _ in range(3):
        x = torch.rand(5, 3)
        before = _counts()
        _step(model, optimizer, x, x.sum(1, keepdim=True))
        found.append(tuple(np.subtract(_counts(), before).tolist()))
    assert found == [(1, 1, 0), (1, 0, 1), (0, 0, 0)]


def test_another_dtype_before_the_first_step() -> None:
    model = _model(11)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model.double()
    x, y = (t.double() for t in _data())
    for _ in range(2):
        _step(model, optimizer, x, y)
    for param in model.parameters():
        assert param.dtype is optimizer.state[param]["exp_avg"].dtype is torch.float64


@pytest.mark.usefixtures("compiling")
def test_what_makes_data_of_nothing_is_not_compiled() -> None:
    model = _model(9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    true = torch.tensor([[1.0], [-2.0], [0.5]])
    x = torch.rand(5, 3)
    y = x @ true  # reads data, so that the step is recorded behind it
    found = []
    for _ in range(3):
        before = _counts()[1:]
        _step(model, optimizer, x, y)
        found.append(tuple(np.subtract(_counts()[1:], before).tolist()))
    assert found == [(1, 0), (0, 1), (0, 0)]  # the second step is what comes back
    assert FIRST_STEPS.waiting == 0
