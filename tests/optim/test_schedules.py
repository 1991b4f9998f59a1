"""The learning-rate schedules against PyTorch's."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES

import flambeau
from flambeau import optim as ours

pytestmark = pytest.mark.parity


def _half(epoch: int) -> float:
    return 0.5**epoch


CASES: list[tuple[str, dict[str, Any]]] = [
    ("LambdaLR", {"lr_lambda": _half}),
    ("MultiplicativeLR", {"lr_lambda": [lambda e: 0.9, lambda e: 0.8]}),
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.4, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 7}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("PolynomialLR", {"total_iters": 8, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": [0.1, 0.2], "step_size_up": 3}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "mode": "triangular2"}),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "mode": "exp_range", "gamma": 0.9},
    ),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 12}),
    ("OneCycleLR", {"max_lr": 0.3, "epochs": 3, "steps_per_epoch": 4, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 12, "anneal_strategy": "linear"}),
]


def _make(library: Any, kind: str = "SGD") -> Any:
    params = [library.zeros(2, requires_grad=True), library.zeros(3, requires_grad=True)]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.5}]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(library.optim, kind)(groups, lr=0.1, **options)


def _options(optimizer: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


def _follow(optimizer: Any, scheduler: Any, epochs: int, *args: Any) -> list[Any]:
    trace = [copy.deepcopy(_options(optimizer))]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step(*args)
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        trace.append(copy.deepcopy(_options(optimizer)))
    return trace


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_schedule_is_pytorchs(name: str, options: dict[str, Any], kind: str) -> None:
    traces = []
    for library in LIBRARIES:
        optimizer = _make(library, kind)
        scheduler = getattr(library.optim.lr_scheduler, name)(optimizer, **options)
        traces.append(_follow(optimizer, scheduler, 11))
    assert traces[0] == traces[1]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_schedule_continues_from_its_state(name: str, options: dict[str, Any]) -> None:
    first = _make(flambeau)
    scheduler = getattr(ours.lr_scheduler, name)(first, **options)
    _follow(first, scheduler, 4)
    second = _make(flambeau)
    other = getattr(ours.lr_scheduler, name)(second, **options)
    other.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    second.load_state_dict(first.state_dict())
    assert _follow(first, scheduler, 5) == _follow(second, other, 5)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_reduce_on_plateau(mode: str, threshold_mode: str) -> None:
    generator = torch.Generator().manual_seed(1)
    metrics = torch.randn(40, generator=generator).tolist()
    traces = []
    for library in LIBRARIES:
        optimizer = _make(library)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, 2, 0.1, threshold_mode, 1, [0.01, 0.2]
        )
        trace = []
        for metric in metrics:
            scheduler.step(metric)
            trace.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best))
        traces.append(trace)
    assert traces[0] == traces[1]


def _combined(library: Any, optimizer: Any, kind: str) -> Any:
    s = library.optim.lr_scheduler
    if kind == "chained":
        parts = [s.ConstantLR(optimizer, 0.1, 3), s.ExponentialLR(optimizer, 0.9)]
        return s.ChainedScheduler(parts)
    parts = [
        s.LinearLR(optimizer, 0.1, total_iters=3),
        s.CosineAnnealingLR(optimizer, 4),
        s.StepLR(optimizer, 2),
    ]
    return s.SequentialLR(optimizer, parts, [3, 7])


@pytest.mark.parametrize("kind", ["chained", "sequential"])
def test_combined(kind: str) -> None:
    traces = []
    for library in LIBRARIES:
        optimizer = _make(library)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = _combined(library, optimizer, kind)
            traces.append(_follow(optimizer, scheduler, 11))
    assert traces[0] == traces[1]


def test_tensor_learning_rate_is_changed_in_place() -> None:
    for library in LIBRARIES:
        lr = library.tensor(0.4)
        optimizer = library.optim.SGD([library.zeros(2, requires_grad=True)], lr=lr)
        scheduler = library.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        scheduler.step()
        assert lr.item() == pytest.approx(0.2)


def test_warns_about_the_order_and_the_epoch() -> None:
    said = []
    for library in LIBRARIES:
        scheduler = library.optim.lr_scheduler.StepLR(_make(library), 1)
        with pytest.warns(UserWarning, match="before `optimizer.step") as record:
            scheduler.step(1)
        said.append([str(warning.message) for warning in record])
    assert said[0] == said[1]
    assert len(said[0]) == 2


def test_mistakes() -> None:
    schedulers = ours.lr_scheduler
    with pytest.raises(TypeError, match="is not an Optimizer"):
        schedulers.StepLR(3, 1)
    with pytest.raises(ValueError, match="total_steps"):
        schedulers.OneCycleLR(_make(flambeau), 0.1)
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas"):
        schedulers.LambdaLR(_make(flambeau), [_half])
    with pytest.raises(ValueError, match=r"Factor should be < 1\.0"):
        schedulers.ReduceLROnPlateau(_make(flambeau), factor=1.0)
    with pytest.raises(KeyError, match="initial_lr"):
        schedulers.StepLR(_make(flambeau), 1, last_epoch=3)
