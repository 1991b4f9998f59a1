"""Kernels of recurrent layers beside NumPy, for widths and numbers of sequences of all kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.core import dtypes
from flambeau.execute.cpu import engine, recurrences, runtime
from flambeau.execute.cpu.shortcuts import Shortcuts
from flambeau.execute.cpu.target import Target
from flambeau.ops import recurrence as rc
from flambeau.ops import source
from flambeau.ops.value import Value
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS

# Sequences that end one by one, a few, more than a task takes, and widths that fill vectors or do
# not, or (32 and 192) go through the matrix unit where there is one.
SHAPES = [
    (5, (3, 3, 2, 1)),
    (16, (9, 9, 8)),
    (37, (40, 33, 20, 17, 2, 1)),
    (3, (150, 2)),
    (32, (20, 17, 8, 1)),
    (192, (33, 33, 9)),
    (192, (70, 65, 9)),
]


def inputs(name: str, shapes: list[tuple[int, ...]], dtype: dtypes.DType) -> list[Value]:
    return [source.program_input(name, k, shape, dtype) for k, shape in enumerate(shapes)]


def called(v: Value, text: str, arrays: list[Any], bits: int) -> None:
    """Runs a kernel on arrays, with scratch memory full of NaN."""
    scratch = np.full(recurrences.scratch_size(v, bits), np.nan, v.dtype.numpy)
    operands = [*arrays, scratch]
    table = np.array([x.ctypes.data for x in operands], np.int64)
    words = [word for slot in range(len(operands)) for word in (slot, 0)]
    words += recurrences.kernel_words(v)
    tasks = recurrences.sequences(v)[2]
    record = runtime.Record(engine.kernel_addresses([text])[0], words, tasks, tasks > 1)
    program = runtime.encode_program([record])
    assert not runtime.call_run(table.ctypes.data, program.ctypes.data, release_gil=True)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("width", "sizes"), SHAPES)
@pytest.mark.parametrize("mode", list(rc.CELLS))
def test_kernels(mode: str, width: int, sizes: tuple[int, ...], reverse: bool) -> None:
    rng = np.random.default_rng(width)
    cell, batch = rc.CELLS[mode], sizes[0]
    extra = {"LSTM": [(batch, width)], "GRU": [(3 * width,)]}.get(mode, [])
    shapes = [(sum(sizes), cell.gates * width), (width, cell.gates * width), (batch, width), *extra]
    attrs = {"mode": mode, "sizes": sizes, "reverse": reverse}
    kinds = [(dtypes.float32, Target.host().vector_bits, 1e-4)]
    kinds += [(dtypes.float32, 128, 1e-4), (dtypes.float64, 256, 1e-10)] if width == 37 else []
    for dtype, bits, tolerance in kinds:
        if bits > Target.host().vector_bits:
            continue
        arrays = [rng.standard_normal(s).astype(dtype.numpy) / (1 + width**0.5) for s in shapes]
        operands = inputs("base", shapes, dtype)
        v, saved = rc.recurrence(*operands, **attrs), rc.recurrence_saved(*operands, **attrs)
        wanted = [x.primitive.reference(*arrays, **attrs) for x in (v, saved)]
        found = [np.full(x.shape, np.nan, dtype.numpy) for x in wanted]
        called(v, recurrences.kernel_text(v, True, bits), [*arrays, *found], bits)
        alone = np.full_like(found[0], np.nan)
        called(v, recurrences.kernel_text(v, False, bits), [*arrays, alone], bits)
        ct = rng.standard_normal(v.shape).astype(dtype.numpy)
        weight = np.ascontiguousarray(arrays[1].T)
        g = rc.recurrence_grad(*inputs("base", [ct.shape, weight.shape], dtype), saved, **attrs)
        wanted.append(g.primitive.reference(ct, weight, wanted[1], **attrs))
        found.append(np.full(g.shape, np.nan, dtype.numpy))
        called(g, recurrences.kernel_text(g, False, bits), [ct, weight, wanted[1], found[2]], bits)
        for ours, numpys in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, numpys, tolerance, tolerance)
        np.testing.assert_array_equal(alone, found[0])


def test_lengths_share_kernels() -> None:
    """The text knows neither steps nor sequences."""
    texts = set()
    for sizes in ((8, 8), (17, 9, 9, 2), (40,) * 30):
        shapes = [(sum(sizes), 80), (20, 80), (sizes[0], 20), (sizes[0], 20)]
        operands = inputs("base", shapes, dtypes.float32)
        v = rc.recurrence(*operands, mode="LSTM", sizes=sizes, reverse=False)
        texts.add(recurrences.kernel_text(v, True, 256))
    assert len(texts) == 1


def test_the_reference_executor_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call gives outputs and what the gradient needs of them."""
    calls = []
    before = Shortcuts.__call__

    def spy(self: Shortcuts, v: Value, operands: Any) -> Any:
        result = before(self, v, operands)
        if result is not None:
            calls.append(v.primitive.name)
        return result

    monkeypatch.setattr(Shortcuts, "__call__", spy)
    monkeypatch.setattr(OPTIONS, "executor", "auto")
    compiled = STATISTICS.compiled_programs
    layer = flambeau.nn.LSTM(3, 4)
    output = layer(flambeau.randn(7, 2, 3))[0]
    output.sum().backward()
    assert output.isfinite().all() and layer.weight_hh_l0.grad.isfinite().all()
    assert sorted(calls) == ["recurrence", "recurrence_grad", "recurrence_saved"]
    assert STATISTICS.compiled_programs == compiled


def test_programs_that_never_come_back_are_not_compiled_at_once() -> None:
    """Of many heavy programs only the first few are compiled before their first run."""
    from flambeau.record.worth import EARLY, Early

    assert 0 <= EARLY.waiting <= Early.most
    early = Early()
    weight = flambeau.tensor(np.ones((1500, 800), np.float32))
    rows = [flambeau.tensor(np.ones((count, 1500), np.float32)) for count in range(100, 112)]
    compiled = STATISTICS.compiled_programs
    before = EARLY.waiting, EARLY.many
    EARLY.waiting, EARLY.many = 0, False
    try:
        for x in rows:
            (x @ weight).relu().sum().item()
        assert STATISTICS.compiled_programs - compiled == early.most == EARLY.waiting
        (rows[0] @ weight).relu().sum().item()  # one of them comes back
        assert EARLY.waiting == early.most - early.part
    finally:
        EARLY.waiting, EARLY.many = before


def test_work_that_numpy_does_sooner_than_it_is_compiled_is_not_compiled_at_once() -> None:
    from flambeau.record.worth import EARLY

    x = flambeau.tensor(np.ones((90, 300), np.float32))

    def total() -> float:
        return float((x @ x.mT).sum().item())

    compiled = STATISTICS.compiled_programs
    before = EARLY.waiting, EARLY.many
    EARLY.waiting, EARLY.many = 0, False
    try:
        first = total()
        assert first == 90 * 90 * 300
        assert EARLY.waiting == 1  # it is heavy, and may never come back
        assert STATISTICS.compiled_programs == compiled
        assert first == total()
        assert EARLY.waiting == 0
    finally:
        EARLY.waiting, EARLY.many = before
