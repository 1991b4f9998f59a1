"""L-BFGS, Muon and long loss curves of every optimiser, beside PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, given, same

import flambeau
from flambeau.optim import lbfgs, line_search

pytestmark = pytest.mark.parity

LBFGS_CASES: list[dict[str, Any]] = [
    {"max_iter": 5},
    {"max_iter": 4, "lr": 0.3, "history_size": 2},
    {"max_iter": 5, "line_search_fn": "strong_wolfe"},
    {"max_iter": 6, "max_eval": 4, "line_search_fn": "strong_wolfe", "lr": 4.0},
    {"max_iter": 3, "tolerance_grad": 1.0},
    {"max_iter": 3, "tolerance_change": 0.5},
]


def _rosenbrock(library: Any, options: dict[str, Any], steps: int) -> tuple[Any, Any, list[float]]:
    start = torch.tensor([-1.2, 1.0, 0.7, -0.4], dtype=torch.float64)
    x = given(library, start).requires_grad_()
    optimizer = library.optim.LBFGS([x], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        loss.backward()
        return loss

    return x, optimizer, [float(optimizer.step(closure)) for _ in range(steps)]


@pytest.mark.parametrize("options", LBFGS_CASES)
def test_lbfgs_is_pytorchs(options: dict[str, Any]) -> None:
    (x, mine, losses), (their_x, other, their_losses) = (
        _rosenbrock(library, options, 6) for library in LIBRARIES
    )
    assert losses == pytest.approx(their_losses, rel=1e-5)
    same(x, their_x, rtol=1e-5, atol=1e-8)
    state, their_state = mine.state_dict(), other.state_dict()
    assert repr(mine) == repr(other)
    first, second = state["state"][0], their_state["state"][0]
    assert list(first) == list(second)
    for name in ("func_evals", "n_iter"):
        assert first[name] == second[name]
    for name in ("d", "prev_flat_grad"):
        if name in second:
            same(first[name], second[name], rtol=1e-3, atol=1e-5)


def test_lbfgs_state_travels() -> None:
    options = {"max_iter": 3, "line_search_fn": "strong_wolfe"}
    _, mine, _ = _rosenbrock(flambeau, options, 2)
    _, other, _ = _rosenbrock(torch, options, 2)
    other.load_state_dict(given(torch, copy.deepcopy(mine.state_dict())))
    mine.load_state_dict(given(flambeau, copy.deepcopy(other.state_dict())))
    restored = mine.state_dict()["state"][0]
    assert restored["n_iter"] == other.state_dict()["state"][0]["n_iter"] > 0


def test_lbfgs_mistakes() -> None:
    for library in LIBRARIES:
        leaf = library.zeros(2, requires_grad=True)
        with pytest.raises(ValueError, match="per-parameter options"):
            library.optim.LBFGS([{"params": [leaf]}, {"params": [leaf.clone().detach()]}])
        with pytest.raises(TypeError, match="closure"):
            library.optim.LBFGS([leaf]).step()


def test_cubic_interpolation_finds_the_minimum_of_a_cubic() -> None:
    def point(t: float) -> line_search.Point:
        return line_search.Point(t, t**3 - 3 * t + 1, None, 3 * t * t - 3)

    for a, b in ((0.0, 3.0), (3.0, 0.0)):
        assert line_search.cubic_minimum(point(a), point(b), 0.0, 3.0) == pytest.approx(1.0)
    assert lbfgs.LBFGS.__module__ == "flambeau.optim.lbfgs"


MUON_CASES: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.05, "nesterov": False, "weight_decay": 0.0, "momentum": 0.5},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.1, "adjust_lr_fn": "original"},
]


@pytest.mark.parametrize("options", MUON_CASES)
def test_muon_is_pytorchs(options: dict[str, Any]) -> None:
    made = []
    for library in LIBRARIES:
        generator = torch.Generator().manual_seed(0)
        params = [torch.randn(s, generator=generator) for s in ((6, 4), (4, 9), (5, 5))]
        params = [p.requires_grad_() for p in given(library, params)]
        optimizer = library.optim.Muon(params, **options)
        for _ in range(4):
            for p in params:
                p.grad = given(library, torch.randn(tuple(p.shape), generator=generator))
            optimizer.step()
        made.append((params, optimizer.state_dict()))
    (params, state), (their_params, their_state) = made
    same(params, their_params, rtol=0.02, atol=0.02)  # bfloat16 products
    same(state, their_state)


CURVES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01}),
    ("Adadelta", {"lr": 1.0, "weight_decay": 0.01}),
    ("Adamax", {"lr": 0.01, "weight_decay": 0.01}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.01}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01}),
    ("ASGD", {"lr": 0.05, "t0": 10}),
    ("Rprop", {"lr": 0.01}),
    ("Adafactor", {"lr": 0.05}),
]


@pytest.mark.parametrize(("name", "options"), CURVES)
def test_loss_curve_of_fifty_steps(name: str, options: dict[str, Any]) -> None:
    curves = []
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(32, 5, generator=generator), torch.randn(32, 2, generator=generator)
    start = [torch.randn(s, generator=generator) * 0.3 for s in ((8, 5), (8,), (2, 8), (2,))]
    for library in LIBRARIES:
        data, target = given(library, x), given(library, y)
        a, b, c, d = params = [p.requires_grad_() for p in given(library, start)]
        optimizer = getattr(library.optim, name)(params, **options)
        schedule = library.optim.lr_scheduler.StepLR(optimizer, 20, 0.5)
        losses = []
        for _ in range(50):
            optimizer.zero_grad()
            loss = (((data @ a.T + b).tanh() @ c.T + d - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], rel=2e-4)
    assert curves[0][-1] < curves[0][0]


@pytest.mark.parametrize("name", ["Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop", "Adam"])
def test_complex_parameters_are_pairs_of_real_ones(name: str) -> None:
    made = []
    for library in LIBRARIES:
        generator = torch.Generator().manual_seed(2)
        start = torch.randn(4, generator=generator, dtype=torch.complex64)
        p = given(library, start).requires_grad_()
        optimizer = getattr(library.optim, name)([p], lr=0.1)
        for _ in range(4):
            p.grad = given(library, torch.randn(4, generator=generator, dtype=torch.complex64))
            optimizer.step()
        made.append(array(p))
    assert made[0] == pytest.approx(made[1], rel=1e-5)
