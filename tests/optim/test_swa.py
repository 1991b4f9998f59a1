"""Weight averaging beside PyTorch's: averages, SWALR, update_bn."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, same

pytestmark = pytest.mark.parity

AVERAGES: dict[str, dict[str, Any]] = {
    "equal": {},
    "ema": {"avg_fn": lambda t: t.optim.swa_utils.get_ema_avg_fn(0.8)},
    "ema lists": {"multi_avg_fn": lambda t: t.optim.swa_utils.get_ema_multi_avg_fn(0.8)},
    "equal lists": {"multi_avg_fn": lambda t: t.optim.swa_utils.get_swa_multi_avg_fn()},
    "equal function": {"avg_fn": lambda t: t.optim.swa_utils.get_swa_avg_fn()},
    "buffers": {
        "multi_avg_fn": lambda t: t.optim.swa_utils.get_ema_multi_avg_fn(0.8),
        "use_buffers": True,
    },
    "own": {"avg_fn": lambda t: lambda a, b, n: a + (b - a) / (n + 2)},
}


def _model(library: Any, generator: Any) -> Any:
    nn = library.nn
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    with library.no_grad():
        for p in model.parameters():
            p.copy_(given(library, torch.randn(tuple(p.shape), generator=generator)))
    return model


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_model_and_update_bn(name: str) -> None:
    made = []
    for library in LIBRARIES:
        generator = torch.Generator().manual_seed(0)
        model = _model(library, generator)
        options = {k: v(library) if callable(v) else v for k, v in AVERAGES[name].items()}
        averaged = library.optim.swa_utils.AveragedModel(model, **options)
        data = [given(library, torch.randn(8, 4, generator=generator)) for _ in range(4)]
        for batch in data:
            model(batch)  # moves the running statistics
            with library.no_grad():
                for p in model.parameters():
                    p.add_(given(library, torch.randn(tuple(p.shape), generator=generator)))
            averaged.update_parameters(model)
        before = {k: v.clone() for k, v in averaged.state_dict().items()}
        library.optim.swa_utils.update_bn([(batch, 1) for batch in data], averaged)
        averaged.eval()
        made.append((before, dict(averaged.state_dict()), averaged(data[0])))
    for mine, other in zip(*made):
        same(mine, other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"anneal_epochs": 4, "anneal_strategy": "linear"},
        {"anneal_epochs": 0},
        {"anneal_epochs": 3},
    ],
)
def test_swalr(options: dict[str, Any]) -> None:
    curves = []
    for library in LIBRARIES:
        groups = [{"params": [library.zeros(2, requires_grad=True)], "lr": r} for r in (0.1, 0.5)]
        optimizer = library.optim.SGD(groups)
        schedule = library.optim.swa_utils.SWALR(optimizer, swa_lr=[0.05, 0.3], **options)
        rates = []
        for _ in range(7):
            optimizer.step()
            schedule.step()
            rates += schedule.get_last_lr()
        state = schedule.state_dict()
        restored = library.optim.swa_utils.SWALR(optimizer, swa_lr=1.0)
        restored.load_state_dict(state)
        assert restored.anneal_epochs == schedule.anneal_epochs
        curves.append((rates, sorted(state)))
    assert curves[0][0] == pytest.approx(curves[1][0])
    assert curves[0][1] == curves[1][1]


def test_mistakes() -> None:
    for library in LIBRARIES:
        swa = library.optim.swa_utils
        optimizer = library.optim.SGD([library.zeros(2, requires_grad=True)], lr=0.1)
        with pytest.raises(ValueError, match="Invalid decay value"):
            swa.get_ema_avg_fn(1.5)
        with pytest.raises(ValueError, match="anneal_strategy must be one of"):
            swa.SWALR(optimizer, 0.1, anneal_strategy="other")
        with pytest.raises(ValueError, match="anneal_epochs must be"):
            swa.SWALR(optimizer, 0.1, anneal_epochs=-1)
        with pytest.raises(AssertionError, match="Only one of"):
            swa.AveragedModel(library.nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)


def test_names_are_complete() -> None:
    mine, other = (library.optim for library in LIBRARIES)
    assert set(other.lr_scheduler.__all__) <= set(mine.lr_scheduler.__all__)
    assert all(hasattr(mine.swa_utils, name) for name in other.swa_utils.__all__)
    classes = [name for name in other.__all__ if isinstance(getattr(other, name), type)]
    assert all(hasattr(mine, name) for name in classes)
