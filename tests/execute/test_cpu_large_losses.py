"""Losses over many classes: one term is picked, nothing as large as the logits is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.core import dtypes
from flambeau.execute.cpu import keeping
from flambeau.execute.cpu.compiler import compile_program
from flambeau.record.options import OPTIONS

# (shape of the logits, options); the second is larger than caches.
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((37, 10), {}),
    ((300, 5003), {}),
    ((300, 5003), {"label_smoothing": 0.1}),
    ((300, 5003), {"ignore_index": 7, "weight": True}),
    ((4, 11, 5, 3), {"ignore_index": 7, "weight": True, "reduction": "sum"}),
    ((4, 11, 5, 3), {"reduction": "none", "label_smoothing": 0.2}),
]


def gradients(t: Any, shape: tuple[int, ...], options: dict[str, Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    x = t.tensor((3 * rng.standard_normal(shape)).astype(np.float32), requires_grad=True)
    y = t.tensor(rng.integers(0, shape[1], (shape[0], *shape[2:])))
    given = dict(options)
    if "weight" in given:
        given["weight"] = t.tensor(rng.random(shape[1]).astype(np.float32))
    loss = t.nn.functional.cross_entropy(x * 1.5, y, **given)
    loss.sum().backward()
    return [np.array(z.detach().numpy()) for z in (loss, x.grad)]


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cross_entropy(case: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    programs: list[Any] = []
    plain = keeping.compiled_program

    def noted(program: Any, *_: Any) -> Any:
        programs.append(program)
        return plain(program)

    monkeypatch.setattr(keeping, "compiled_program", noted)
    shape, options = case
    for ours, theirs in zip(
        gradients(flambeau, shape, options), gradients(torch, shape, options), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    if "label_smoothing" in options or not programs:
        return
    compiled = compile_program(programs[-1])
    assert "pick" in {v.primitive.name for v in compiled.program.nodes()}
    # Nothing is as large as the logits but them and their gradient.
    assert compiled.arena_bytes < 4 * int(np.prod(shape)) or shape[0] < 300


def test_python_numbers_do_not_halve_vectors() -> None:
    from flambeau.execute.cpu.target import Target
    from flambeau.graph.program import Program
    from flambeau.ops import arithmetic as ar
    from flambeau.ops import source, view

    x = source.program_input("base", 0, (4096,), dtypes.float32)
    factor = source.program_input("scalar", 0, (), dtypes.float64)
    wide = view.reshape(ar.cast(factor, dtypes.float32), shape=(1,))
    result = x * view.expand(wide, shape=(4096,))
    program = Program(((dtypes.float32, 4096),), (dtypes.float64,), (result,), ())
    lanes = Target.host().vector_bits // 32
    (kernel,) = compile_program(program).kernels
    assert f"<{lanes} x float>" in kernel.text
