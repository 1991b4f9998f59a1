"""Whole training runs beside PyTorch's, from the same seed: the loss curves lie on each other.

Sums are added up in another order, so single steps differ by roundings, and training spreads
them: the tolerance grows with the number of steps. Models and rates are such that it stays small.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, given, same

import flambeau
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.parity
Curve = list[float]
Run = Callable[[Any], Any]


def _bench_models() -> Any:
    file = Path(__file__).resolve().parents[2] / "bench" / "models.py"
    spec = importlib.util.spec_from_file_location("bench_models", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_models"] = module
    spec.loader.exec_module(module)
    return module


BENCH = _bench_models()


def both(run: Run, *, rtol: float = 1e-4, atol: float = 1e-5, seed: int = 7) -> Any:
    """Runs `run` in both libraries from one seed and compares all that it returns."""
    results = []
    for library in LIBRARIES:
        library.manual_seed(seed)
        results.append(run(library))
    same(results[0], results[1], rtol=rtol, atol=atol)
    return results[0]


def state_of(model: Any) -> dict[str, Any]:
    return {name: value.detach() for name, value in model.state_dict().items()}


# ---- the measured models -------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BENCH.CASES))
def test_measured_models(name: str) -> None:
    """200 steps that end with loss.item()."""

    outputs = []

    def run(library: Any) -> Any:
        built = BENCH.CASES[name].build(library)
        curve = [built.step() for _ in range(200)]
        # In training mode: a bias in front of BatchNorm has no gradient but roundings, which Adam
        # scales up to whole steps, and the running means follow it.
        outputs.append(built.model(built.x).detach())
        return curve

    curve = both(run, rtol=2e-3, atol=5e-4)
    assert curve[-1] < curve[0]
    # A rounding decides which of two like pixels max-pooling takes: after 200 steps on noise
    # PyTorch's own outputs differ by 4e-3 between one and two threads, by 2e-2 without oneDNN.
    atol = 5e-2 if name == "digits_cnn" else 5e-4
    same(outputs[0], outputs[1], rtol=2e-3, atol=atol)


# ---- one small model, many ways of training it ---------------------------------------------------


def network(library: Any) -> Any:
    nn = library.nn
    return nn.Sequential(
        # No bias in front of BatchNorm: its gradient is zero but for roundings, which Adam
        # scales up to whole steps.
        nn.Linear(6, 12, bias=False),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


def table(library: Any, rows: int = 70) -> tuple[Any, Any]:
    x = library.randn(rows, 6)
    y = (x[:, 0] > 0).long() + (x[:, 1] * x[:, 2] > 0.3).long()
    return x, y


def batches(x: Any, y: Any, size: int) -> Any:
    return zip(x.split(size), y.split(size))


def test_smaller_last_batch_through_the_loader() -> None:
    def run(library: Any) -> Any:
        data = library.utils.data
        loader = data.DataLoader(data.TensorDataset(*table(library)), batch_size=16, shuffle=True)
        model = network(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        curve = []
        for _ in range(6):
            for x, y in loader:
                optimizer.zero_grad()
                loss = library.nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                curve.append((len(x), loss.item()))
        return [curve, state_of(model)]

    curve, _ = both(run, rtol=2e-3, atol=2e-4)
    assert {size for size, _ in curve} == {16, 6}


@pytest.mark.parametrize("when", ["before backward", "after backward", "never", "epoch's sum"])
def test_where_the_loss_is_read(when: str) -> None:
    def run(library: Any) -> Any:
        x, y = table(library)
        model = network(library)
        optimizer = library.optim.Adam(model.parameters(), lr=0.01)
        curve = []
        for _ in range(8):
            total = 0.0
            for part, target in batches(x, y, 35):
                loss = library.nn.functional.cross_entropy(model(part), target)
                if when == "before backward":
                    curve.append(loss.item())
                optimizer.zero_grad()
                loss.backward()
                if when == "after backward":
                    curve.append(loss.item())
                optimizer.step()
                if when == "epoch's sum":
                    total += loss.detach()
            if when == "epoch's sum":
                curve.append(total)
        return [curve, state_of(model), loss.detach()]

    both(run, rtol=2e-3, atol=3e-4)


SCHEDULES: dict[str, tuple[Any, ...]] = {
    "StepLR": (3, 0.5),
    "ExponentialLR": (0.9,),
    "CosineAnnealingLR": (10,),
    "OneCycleLR": (0.2, 30),
    "LambdaLR": (lambda epoch: 1 / (1 + epoch),),
}


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_learning_rate_schedules(schedule: str) -> None:
    def run(library: Any) -> Any:
        x, y = table(library)
        model = network(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        scheduler = getattr(library.optim.lr_scheduler, schedule)(optimizer, *SCHEDULES[schedule])
        curve = []
        for _ in range(25):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            curve.append((loss.item(), scheduler.get_last_lr()[0]))
        return [curve, state_of(model)]

    both(run, rtol=2e-3, atol=2e-4)


def test_dropout_draws_pytorchs_masks() -> None:
    def run(library: Any) -> Any:
        nn = library.nn
        x, y = table(library)
        model = nn.Sequential(
            nn.Linear(6, 40), nn.ReLU(), nn.Dropout(0.4), nn.Linear(40, 3), nn.Dropout(0.1)
        )
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        curve = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        model.eval()
        return [curve, model(x).detach(), library.rand(3)]

    both(run, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("how", ["norm", "value", "norm and read"])
def test_gradient_clipping(how: str) -> None:
    def run(library: Any) -> Any:
        x, y = table(library)
        model = network(library)
        optimizer = library.optim.AdamW(model.parameters(), lr=0.01)
        clip = library.nn.utils
        curve = []
        for _ in range(15):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(x) * 5, y)
            loss.backward()
            if how == "value":
                clip.clip_grad_value_(model.parameters(), 0.05)
            else:
                norm = clip.clip_grad_norm_(model.parameters(), 0.1)
                if how == "norm and read":
                    curve.append(norm.item())
            optimizer.step()
            curve.append(loss.item())
        return [curve, state_of(model)]

    both(run, rtol=3e-3, atol=5e-4)


@pytest.mark.parametrize("read", [False, True])
def test_gradients_of_two_batches_add_up(read: bool) -> None:
    def run(library: Any) -> Any:
        x, y = table(library, 64)
        model = network(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        curve = []
        for _ in range(10):
            for step, (part, target) in enumerate(batches(x, y, 16)):
                loss = library.nn.functional.cross_entropy(model(part), target) / 2
                loss.backward()
                if read:
                    curve.append(loss.item())
                if step % 2:
                    optimizer.step()
                    optimizer.zero_grad()
        return [curve, state_of(model)]

    both(run, rtol=2e-3, atol=2e-4)


def test_evaluation_between_epochs() -> None:
    def run(library: Any) -> Any:
        x, y = table(library)
        held, wanted = table(library, 33)
        model = network(library)
        optimizer = library.optim.Adam(model.parameters(), lr=0.02)
        curve = []
        for _ in range(6):
            model.train()
            for part, target in batches(x, y, 20):
                optimizer.zero_grad()
                loss = library.nn.functional.cross_entropy(model(part), target)
                loss.backward()
                optimizer.step()
            curve.append(loss.item())
            model.eval()
            with library.no_grad():
                out = model(held)
                assert not out.requires_grad
                curve.append(library.nn.functional.cross_entropy(out, wanted).item())
                curve.append(float((out.argmax(1) == wanted).float().mean()))
        return [curve, state_of(model)]

    both(run, rtol=3e-3, atol=5e-4)


def test_layers_frozen_half_way() -> None:
    def run(library: Any) -> Any:
        x, y = table(library)
        model = network(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        curve = []
        for epoch in range(16):
            if epoch == 5:
                model[0].requires_grad_(False)
            if epoch == 10:
                model[3].weight.requires_grad = False
                model[0].requires_grad_(True)
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
            assert (model[0].weight.grad is None) == (5 <= epoch < 10)
        return [curve, state_of(model)]

    both(run, rtol=2e-3, atol=2e-4)


def train(library: Any, model: Any, optimizer: Any, x: Any, y: Any, steps: int) -> Curve:
    curve = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return curve


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_training_moves_between_the_libraries(kind: str) -> None:
    """PyTorch begins, Flambeau goes on from its state, PyTorch ends; beside PyTorch alone."""
    options = {"momentum": 0.9} if kind == "SGD" else {}
    torch.manual_seed(5)
    x, y = table(torch)

    def begun(library: Any) -> tuple[Any, Any]:
        library.manual_seed(9)
        model = network(library)
        return model, getattr(library.optim, kind)(model.parameters(), lr=0.01, **options)

    def moved(to: Any, model: Any, optimizer: Any) -> tuple[Any, Any]:
        other, stepping = begun(to)
        other.load_state_dict(given(to, model.state_dict()))
        stepping.load_state_dict(given(to, optimizer.state_dict()))
        return other, stepping

    alone = begun(torch)
    expected = train(torch, *alone, x, y, 15)
    pair = begun(torch)
    curve = train(torch, *pair, x, y, 5)
    pair = moved(flambeau, *pair)
    curve += train(flambeau, *pair, given(flambeau, x), given(flambeau, y), 5)
    pair = moved(torch, *pair)
    curve += train(torch, *pair, x, y, 5)
    assert curve == pytest.approx(expected, rel=2e-3, abs=2e-4)


def test_gradient_mode_and_data_written_by_hand() -> None:
    """The first chapters' way: no optimizer, weights written under no_grad or through .data."""

    def run(library: Any) -> Any:
        x, _ = table(library)
        y = x @ library.tensor([1.0, -2.0, 3.0, 0.0, 0.5, 1.5]).unsqueeze(1) + 0.7
        w = library.zeros(6, 1, requires_grad=True)
        b = library.zeros(1, requires_grad=True)
        curve = []
        for epoch in range(30):
            loss = ((x @ w + b - y) ** 2).mean()
            loss.backward()
            if epoch % 2:
                with library.no_grad():
                    w -= 0.05 * w.grad
                    b -= 0.05 * b.grad
            else:
                w.data = w.data - 0.05 * w.grad.data
                b.data.sub_(0.05 * b.grad)
            w.grad.zero_()
            b.grad = None
            curve.append(loss.item())
        return [curve, w.detach(), b.detach()]

    both(run, rtol=1e-3, atol=1e-4)


def test_results_of_one_run_are_those_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit: recorded the first time, recognised the second."""
    monkeypatch.setattr(OPTIONS, "always_compile", True)

    def run() -> Any:
        flambeau.manual_seed(3)
        x, y = table(flambeau)
        model = network(flambeau)
        optimizer = flambeau.optim.Adam(model.parameters(), lr=0.01)
        train(flambeau, model, optimizer, x, y, 12)
        train(flambeau, model, optimizer, x, y, 1)
        flambeau.manual_seed(3)
        x, y = table(flambeau)
        model = network(flambeau)
        optimizer = flambeau.optim.Adam(model.parameters(), lr=0.01)
        return [train(flambeau, model, optimizer, x, y, 12), array(model[0].weight).copy()]

    first, second = run(), run()
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
