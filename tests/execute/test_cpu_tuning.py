"""Kernels chosen by measuring: every form gives the same numbers, and what was found is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import bounds, keeping, tuning
from flambeau.execute.cpu import engine as engines
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.forms import UNIT, VECTOR, Form, Forms
from flambeau.execute.cpu.objects import ObjectCache
from flambeau.graph.program import Program
from flambeau.record.options import OPTIONS

FORMS = {
    "as the cost model says": Forms(),
    "vectors": Forms(dict.fromkeys(range(40), Form(VECTOR))),
    "other tiles": Forms(dict.fromkeys(range(40), Form(VECTOR, 1))),
    "unit": Forms(dict.fromkeys(range(40), Form(UNIT))),
    "plain layouts": Forms(innermost=False),
    "plain layouts, vectors": Forms(dict.fromkeys(range(40), Form(VECTOR)), innermost=False),
}


def network(kind: str, batch: int) -> tuple[Any, Any]:
    """A model and a batch; each test has a batch size, and so a program, of its own."""
    flambeau.manual_seed(0)
    nn = flambeau.nn
    if kind == "convolutions":
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3),
            nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, 10),
        )  # fmt: skip
        return model, flambeau.randn(batch, 3, 12, 12)
    model = nn.Sequential(nn.Linear(100, 130), nn.ReLU(), nn.Linear(130, 70))
    return model, flambeau.randn(batch, 100)


def gradients(kind: str, batch: int, executor: str = "compiled") -> list[Any]:
    """The loss and all gradients of a network, as arrays; `executor` computes nothing else."""
    OPTIONS.executor = "reference"
    model, x = network(kind, batch)
    x.sum().item()
    OPTIONS.executor = executor
    loss = (model(x) ** 2).mean()
    loss.backward()
    return [loss.detach().numpy(), *[p.grad.numpy() for p in model.parameters()]]


@pytest.fixture(autouse=True)
def executor_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", OPTIONS.executor)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectCache]:
    """An empty cache on disk, and no memory of what was tuned."""
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    made = ObjectCache(folder)
    monkeypatch.setattr(engines.engine(), "cache", made)
    monkeypatch.setattr(tuning._STATE, "found", {})
    monkeypatch.setattr(tuning, "SMALL", 1)
    yield made


@pytest.mark.parametrize(
    ("kind", "name"),
    [("convolutions", n) for n in FORMS] + [("products", n) for n in FORMS if "plain" not in n],
)
def test_every_form_gives_the_same_numbers(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def compiled(program: Program, *_: Any) -> Any:
        made.append(program)
        return compile_program(program, forms=FORMS[name])

    batch = 32 + list(FORMS).index(name)
    expected = gradients(kind, batch, "reference")
    monkeypatch.setattr(keeping, "compiled_program", compiled)
    for found, right in zip(gradients(kind, batch), expected, strict=True):
        scale = np.abs(right).max() + 1e-6
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=2e-5 * scale)
    assert made


@pytest.mark.skipif(bounds.switched_on(), reason="checked kernels are not kept on disk")
def test_what_was_measured_is_kept_on_disk_and_used_again(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def fastest(program: Program, compiling: tuning.Compile) -> Forms:
        measured.append(program)
        return FORMS["vectors"]

    monkeypatch.setattr(tuning, "fastest", fastest)
    with flambeau.tune():
        assert tuning.switched_on()
        gradients("products", 50)
    assert not tuning.switched_on()
    assert measured
    count = len(measured)
    tuning._STATE.found.clear()  # as in another process
    spelled = keeping.spelled_with_sources(measured[0])
    again = tuning.tuned_forms(measured[0], spelled, keeping._compiled)
    assert again == FORMS["vectors"]
    assert len(measured) == count


def test_measuring_finds_what_is_faster(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times that are made up: vector instructions win in one group, and its form is taken."""
    asked: list[Forms] = []

    def times(memory: Any, compiled: Any) -> dict[int, float]:
        forms = asked[-1]
        return {
            0: 0.5 if forms.of(0).unit == VECTOR and not forms.of(0).rank else 1.0,
            1: 2.0 if forms.of(1).unit == VECTOR else 1.0,
        }

    def compiling(program: Program, forms: Forms) -> Any:
        asked.append(forms)
        return None

    monkeypatch.setattr(tuning._Memory, "times", times)
    program = Program((), (), (), ())  # type: ignore[arg-type]
    monkeypatch.setattr(Program, "nodes", lambda self: [])
    assert tuning.fastest(program, compiling) == Forms({0: Form(VECTOR)})


def test_tuning_gives_right_numbers(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    expected = gradients("products", 51, "reference")
    found = flambeau.tune()(gradients)("products", 51)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_forms_survive_the_disk() -> None:
    forms = Forms({3: Form(UNIT), 5: Form(VECTOR, 2)}, innermost=False)
    assert Forms.from_dict(forms.as_dict()) == forms


def test_tune_refuses_what_is_no_switch() -> None:
    with pytest.raises(TypeError, match="enabled to be a bool"):
        flambeau.tune(3)
