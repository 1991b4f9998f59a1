"""Kernels that call NumPy's inner loops give the reference executor's very numbers."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from against_reference import Builder, flat

import flambeau
from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds, numpy_loops, target, ufuncs
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.jit import Jit
from flambeau.ops import arithmetic as ar
from flambeau.ops import decomposition as dec
from flambeau.ops import elementwise as el
from flambeau.ops import fourier, reduction
from flambeau.ops.value import Value
from flambeau.record import cards
from flambeau.record.options import OPTIONS
from flambeau.record.plan import Plan

pytestmark = pytest.mark.skipif(bounds.switched_on(), reason="nobody can ask what they touch")

REAL, COMPLEX = (dtypes.float32, dtypes.float64), (dtypes.complex64, dtypes.complex128)


def given(b: Builder, shape: tuple[int, ...], dtype: DType) -> Value:
    x = b.rng.standard_normal(shape)
    if dtype.is_complex:
        x = x + 1j * b.rng.standard_normal(shape)
    return b.data(x.astype(dtype.numpy), dtype)


def positive(b: Builder, shape: tuple[int, ...], dtype: DType) -> Value:
    x = b.rng.standard_normal(shape) + (
        1j * b.rng.standard_normal(shape) if dtype.is_complex else 0
    )
    x = x @ x.conj().swapaxes(-1, -2) + np.eye(shape[-1])
    return b.data(x.astype(dtype.numpy), dtype)


SQUARES = ((1, 1), (4, 4), (2, 3, 5, 5))
MATRICES = (*SQUARES, (3, 7), (2, 6, 4))
CASES: dict[str, tuple[Callable[[Builder, Any, Any], Value], Any, Any]] = {
    "det": (lambda b, s, d: dec.determinant(given(b, s, d)), SQUARES, (*REAL, COMPLEX[1])),
    "slogdet": (lambda b, s, d: dec.slogdet(given(b, s, d)), SQUARES, (*REAL, COMPLEX[1])),
    "inverse": (lambda b, s, d: dec.inverse(given(b, s, d)), SQUARES, (*REAL, COMPLEX[1])),
    "solve": (
        lambda b, s, d: dec.solve(given(b, s, d), given(b, (*s[:-1], 3), d)),
        SQUARES,
        (*REAL, COMPLEX[1]),
    ),
    "cholesky": (
        lambda b, s, d: dec.cholesky(positive(b, s, d), upper=False),
        SQUARES,
        (*REAL, COMPLEX[1]),
    ),
    "upper": (lambda b, s, d: dec.cholesky(positive(b, s, d), upper=True), SQUARES, REAL),
    "eigh": (lambda b, s, d: dec.eigh(positive(b, s, d), uplo="L"), SQUARES, (*REAL, COMPLEX[1])),
    "eigh_up": (lambda b, s, d: dec.eigh(positive(b, s, d), uplo="U"), SQUARES, REAL),
    "svd": (lambda b, s, d: dec.svd(given(b, s, d), full=False), MATRICES, (*REAL, COMPLEX[1])),
    "full": (lambda b, s, d: dec.svd(given(b, s, d), full=True), MATRICES, (*REAL, COMPLEX[1])),
    "values": (lambda b, s, d: dec.singular_values(given(b, s, d)), MATRICES, (*REAL, COMPLEX[1])),
    "abs": (lambda b, s, d: el.abs_(given(b, s, d)), MATRICES, COMPLEX),
    "mul": (lambda b, s, d: el.mul(given(b, s, d), given(b, s, d)), MATRICES, COMPLEX),
    "exp": (lambda b, s, d: el.exp(el.neg(given(b, s, d))), MATRICES, COMPLEX),
    "eq": (lambda b, s, d: el.eq(given(b, s, d), given(b, s, d)), MATRICES, COMPLEX),
    "real": (lambda b, s, d: el.real(given(b, s, d)), MATRICES, COMPLEX),
    "imag": (lambda b, s, d: el.imag(given(b, s, d)), MATRICES, COMPLEX),
    "complex": (lambda b, s, d: el.complex_(given(b, s, d), given(b, s, d)), MATRICES, REAL),
    "widened": (
        lambda b, s, d: el.cast(given(b, s, d), dtype=d.to_complex()),
        MATRICES,
        REAL,
    ),
    "narrowed": (lambda b, s, d: el.cast(given(b, s, d), dtype=d.to_real()), MATRICES, COMPLEX),
}
for axis in (0, 1, -1):
    CASES[f"half {axis}"] = (
        lambda b, s, d, axis=axis: fourier.half_transform(given(b, s, d), axis=axis % len(s)),
        MATRICES,
        REAL,
    )
    CASES[f"whole {axis}"] = (
        lambda b, s, d, axis=axis: fourier.full_transform(
            given(b, s, d), axis=axis % len(s), size=2 * s[axis] - 1
        ),
        MATRICES,
        COMPLEX,
    )
for axes in ((0,), (1,), (0, 1)):
    CASES[f"transform {axes}"] = (
        lambda b, s, d, axes=axes: fourier.transform(given(b, s, d), axes=axes, inverse=False),
        MATRICES,
        COMPLEX,
    )
    CASES[f"back {axes}"] = (
        lambda b, s, d, axes=axes: fourier.transform(given(b, s, d), axes=axes, inverse=True),
        MATRICES,
        COMPLEX,
    )


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits(name: str) -> None:
    make, shapes, kinds = CASES[name]
    for shape in shapes:
        for dtype in kinds:
            b = Builder(f"{name} {shape} {dtype}")
            value = make(b, shape, dtype)
            compiled = b.check([value], tolerance=0)
            assert compiled.native, (shape, dtype)
            assert not compile_program(compiled.program, loops=False).native


def test_between_kernels() -> None:
    """Operands and results of other kernels, used several times, also as an update."""
    for dtype in REAL:
        b = Builder(5)
        x = given(b, (4, 6), dtype)
        values = dec.singular_values(el.mul(x, x))
        half = fourier.half_transform(el.exp(x), axis=1)
        total = reduction.sum_(el.abs_(half), axes=(0, 1))
        updates = [(0, flat(ar.expand(total, (4, 6))))]
        results = [values, el.sqrt(values), total, half]
        assert b.check(results, updates, tolerance=4.0).native


def test_what_takes_long_is_left_to_the_host() -> None:
    b = Builder(3)
    small, large = given(b, (8, 8), dtypes.float64), given(b, (300, 300), dtypes.float64)
    assert numpy_loops.known_loops(dec.inverse(small)) is not None
    assert numpy_loops.known_loops(dec.inverse(large)) is None


def test_an_unknown_layout_is_left_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder(4)
    value = dec.inverse(given(b, (4, 4), dtypes.float64))
    monkeypatch.setattr(ufuncs, "_words", lambda name: None)
    assert not b.check([value], tolerance=0).native


def test_unknown_loops() -> None:
    names = "linalg.solve.ii_i", "linalg.nothing.d_d", "numpy.linalg.d_d", "numpy.add.dd_f"
    for name in names:
        assert ufuncs.loop_address(f"numpy.loop.{name}") is None


def test_by_llvms_linker() -> None:
    """Where binaries are not linked here, LLVM finds the loops, too."""
    b = Builder(6)
    compiled = compile_program(b.program([dec.determinant(given(b, (3, 3), dtypes.float64))]))
    text = compiled.kernels[-1].text
    code = target.compile_object(text, target.Target.host())
    names = Jit(target.Target.host()).link([code], ["kernel"])
    assert names["kernel"]


# ---- programs that refuse their data -------------------------------------------------------------


def settled(function: Callable[[], Any], times: int = 400) -> Any:
    """What a function gives after its program has become native calls."""
    for _ in range(times):
        result = function()
    return result


def test_singular_matrices() -> None:
    a, b = flambeau.eye(4) * 2, flambeau.ones(4, 2)

    def solved() -> Any:
        return flambeau.linalg.solve(a, b).numpy().copy()

    def tried() -> Any:
        found, info = flambeau.linalg.solve_ex(a, b)
        return found.numpy().copy(), info.item()

    def inverted() -> Any:
        return flambeau.linalg.inv(a).numpy().copy()

    settled(lambda: (solved(), tried(), inverted()))
    a[1, 1] = 0.0
    for _ in range(40):
        with pytest.raises(flambeau.linalg.LinAlgError, match="singular"):
            solved()
        with pytest.raises(flambeau.linalg.LinAlgError, match="singular"):
            inverted()
        assert tried()[1] == 2
    a[1, 1] = 4.0
    for _ in range(3):
        assert solved().tolist() == [[0.5, 0.5], [0.25, 0.25], [0.5, 0.5], [0.5, 0.5]]
        assert tried()[1] == 0
        assert inverted().diagonal().tolist() == [0.5, 0.25, 0.5, 0.5]


def test_nothing_is_updated_where_a_matrix_is_refused() -> None:
    a, total = flambeau.eye(3) * 2, flambeau.zeros(3, 3)

    def step() -> Any:
        total.add_(flambeau.linalg.cholesky(a))
        return total.numpy()[0, 0].item()

    before = settled(step)
    a[2, 2] = -1.0
    for _ in range(3):
        with pytest.raises(flambeau.linalg.LinAlgError, match="minor of order 3"):
            step()
    a[2, 2] = 1.0
    assert step() == pytest.approx(before + 2**0.5)


def test_infinity_and_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """What NumPy makes of them, native or not."""
    x = flambeau.eye(4)
    functions: dict[str, Callable[[], Any]] = {
        "det": lambda: flambeau.linalg.det(x).numpy(),
        "slogdet": lambda: flambeau.linalg.slogdet(x)[1].numpy(),
        "inv": lambda: flambeau.linalg.inv(x).numpy(),
        "cholesky": lambda: flambeau.linalg.cholesky_ex(x)[0].numpy(),
        "svdvals": lambda: flambeau.linalg.svdvals(x).numpy(),
        "eigvalsh": lambda: flambeau.linalg.eigvalsh(x).numpy(),
        "fft": lambda: flambeau.fft.rfft(x).abs().numpy(),
    }

    def tried(function: Callable[[], Any]) -> Any:
        try:
            return function().copy()
        except RuntimeError as error:
            return str(error)

    for function in functions.values():
        settled(function)
    for place, number in (((1, 1), np.nan), ((1, 1), np.inf), ((2, 1), np.nan), ((1, 2), np.inf)):
        x[place] = number
        for name, function in functions.items():
            found = [tried(function) for _ in range(2)]
            with monkeypatch.context() as patch:
                patch.setattr(OPTIONS, "sync", True)
                wanted = tried(function)
            for one in found:
                np.testing.assert_array_equal(one, wanted, err_msg=f"{name} {place} {number}")
        x[place] = float(place[0] == place[1])


def test_in_a_compiled_function() -> None:
    a, b = flambeau.eye(4) * 2, flambeau.ones(4, 2)

    @flambeau.compile
    def solved(a: Any, b: Any) -> Any:
        return flambeau.linalg.solve_ex(a, b)

    settled(lambda: solved(a, b)[0].numpy())
    assert solved(a, b)[0].numpy().tolist() == [[0.5, 0.5]] * 4
    a[3, 3] = 0.0
    for _ in range(3):
        assert solved(a, b)[1].item() == 4
    a[3, 3] = 1.0
    assert solved(a, b)[0].numpy()[3].tolist() == [1.0, 1.0]


def test_flushes_are_native_calls() -> None:
    x = flambeau.randn(5, 6)
    settled(lambda: flambeau.fft.rfft(x).abs().numpy())
    plans = [p for p in gc.get_objects() if isinstance(p, Plan) and p.compiled is not None]
    ours = [p for p in plans if any(v.primitive.name == "half_fourier" for v in p.program.nodes())]
    assert any(p.compiled.alone and cards.replayable(p) for p in ours)


SCRIPT = """
import sys
import flambeau as torch

torch.manual_seed(0)
x, a = torch.randn(6, 8), torch.randn(6, 6)
for _ in range(12):
    found = torch.fft.rfft(x).abs().sum().item(), torch.linalg.solve(a, x).sum().item()
print([number.hex() for number in found])
print("flambeau.execute.cpu.compiler" in sys.modules)
"""


@pytest.mark.skipif(os.environ.get("FLAMBEAU_CACHE_DIR") == "", reason="nothing is kept")
def test_kept_on_disk(tmp_path: Path) -> None:
    """A later process calls the loops where they are there, and imports no compiler."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(cache), "FLAMBEAU_EXECUTOR": "compiled"}
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split("\n"))
    assert found[0][0] == found[1][0]
    assert [lines[1] for lines in found] == ["True", "False"]
