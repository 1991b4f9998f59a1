"""Singular matrices, zeros and equal singular values: gradients are PyTorch's, NaN where it has
NaN, and refused where it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from tests.programs.modes import mode

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

Function = Callable[[Any, Any], Any]
MATRICES: dict[str, list[list[float]]] = {
    "zero": [[0.0, 0.0], [0.0, 0.0]],
    "zeros of three": [[0.0] * 3] * 3,
    "identity": [[1.0, 0.0], [0.0, 1.0]],
    "equal singular values": [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]],
    "exchange": [[0.0, 1.0], [1.0, 0.0]],
    "one zero": [[1.0, 0.0], [0.0, 0.0]],
    "nilpotent": [[0.0, 1.0], [0.0, 0.0]],
    "regular": [[1.0, 2.0], [3.0, 5.0]],
    "infinite": [[float("inf"), 1.0], [0.0, 1.0]],
}
RECTANGLES = {
    "tall zero": [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
    "tall identity": [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]],
    "wide zero": [[0.0] * 3] * 2,
    "wide": [[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]],
}
FUNCTIONS: dict[str, Function] = {
    "svd values": lambda t, x: t.linalg.svd(x).S,
    "reduced svd values": lambda t, x: t.linalg.svd(x, full_matrices=False).S,
    "svdvals": lambda t, x: t.linalg.svdvals(x),
    "product of svd": lambda t, x: product(*t.linalg.svd(x, full_matrices=False)),
    "pinv": lambda t, x: t.linalg.pinv(x),
}
SQUARE: dict[str, Function] = {
    "logdet": lambda t, x: t.logdet(x),
    "slogdet": lambda t, x: t.linalg.slogdet(x).logabsdet,
    "solve_ex": lambda t, x: t.linalg.solve_ex(x, x + 1).result,
    "matrix_exp": lambda t, x: t.linalg.matrix_exp(x),
    "cholesky_ex": lambda t, x: t.linalg.cholesky_ex(x).L,
}


def product(u: Any, s: Any, vh: Any) -> Any:
    return u * s @ vh


def outcome(library: Any, function: Function, rows: list[list[float]]) -> Any:
    """The gradient and the gradient of that; or an error."""
    x = library.tensor(rows, dtype=library.float64, requires_grad=True)
    try:
        y = function(library, x)
        weights = library.arange(1.0, 1.0 + y.numel(), dtype=library.float64).reshape(y.shape)
        (first,) = library.autograd.grad((y * weights).sum(), x, create_graph=True)
        (second,) = library.autograd.grad((first * first).sum() + (x * 0).sum(), x)
        return first.tolist(), second.tolist()
    except RuntimeError as error:
        return type(error).__name__, str(error).split("\n")[0]


CASES = [(f, m) for f in FUNCTIONS for m in (*MATRICES, *RECTANGLES)]
CASES += [(f, m) for f in SQUARE for m in MATRICES if m != "infinite"]


@pytest.mark.parametrize("executor", ["sync", "recognised", "compiled"])
@pytest.mark.parametrize(("name", "matrix"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_gradients(name: str, matrix: str, executor: str) -> None:
    function, rows = (FUNCTIONS | SQUARE)[name], (MATRICES | RECTANGLES)[matrix]
    theirs = outcome(torch, function, rows)
    with mode(executor):
        ours = outcome(flambeau, function, rows)
    if isinstance(theirs[0], str) and name == "solve_ex":
        # Gradients that shall be differentiated are refused there, others are not finite.
        assert "singular" in theirs[1] and not np.isfinite(ours[0]).any()
        return
    if isinstance(theirs[0], str):
        assert ours == theirs
        return
    for mine, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, 1e-7, 1e-9)


@pytest.mark.parametrize("matrix", ["one zero", "nilpotent", "regular", "zero"])
def test_gels_refuses_what_has_not_full_rank(matrix: str) -> None:
    def call(library: Any, x: Any) -> Any:
        return library.linalg.lstsq(x, x + 1, driver="gels").solution

    theirs, ours = [outcome(library, call, MATRICES[matrix]) for library in (torch, flambeau)]
    if isinstance(theirs[0], str):
        assert ours == theirs
    else:
        np.testing.assert_allclose(ours[0], theirs[0], 1e-7, 1e-9)


def test_the_factor_up_to_a_minor_that_is_not_positive() -> None:
    rows = [[4.0, 2.0, 0.0], [2.0, -3.0, 1.0], [0.0, 1.0, 5.0]]
    theirs, ours = [
        library.linalg.cholesky_ex(library.tensor(rows)) for library in (torch, flambeau)
    ]
    assert ours.info.item() == theirs.info.item() == 2
    np.testing.assert_allclose(ours.L.tolist(), theirs.L.tolist())


SINGULAR = {
    **MATRICES,
    "of rank 1": [[1.0, 2.0], [2.0, 4.0]],
    "a zero row": [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 5.0, 6.0]],
    "NaN": [[float("nan"), 1.0], [1.0, 2.0]],
    "NaN at the end": [[2.0, 1.0], [1.0, float("nan")]],
    "one of two": [[[2.0, 1.0], [1.0, 3.0]], [[1.0, 2.0], [2.0, 4.0]]],
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("name", list(SINGULAR))
def test_what_does_not_refuse_gives_infinities_and_nan(name: str, dtype: str) -> None:
    def results(t: Any) -> list[Any]:
        x = t.tensor(SINGULAR[name], dtype=getattr(t, dtype))
        right = t.ones_like(x)[..., :1] * 3
        inverse, failed = t.linalg.inv_ex(x)
        solved, also = t.linalg.solve_ex(x, right)
        found = [failed, also, inverse, solved]
        found += [] if "NaN" in name else t.lu(x)
        return [v.numpy() for v in found]

    for mine, other in zip(results(flambeau), results(torch), strict=True):
        if dtype == "complex128" and not np.isfinite(other).all():
            continue  # (which parts are lost hangs on how numbers are divided)
        np.testing.assert_allclose(mine, other, 1e-4 if dtype == "float32" else 1e-10)


def test_a_pivot_that_rounding_makes_zero_for_lapack_alone() -> None:
    """NumPy's LAPACK refuses this one, PyTorch's does not; what it gives is rounding alone, and
    another number on each kind of CPU.
    """
    numbers = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    x, y = (t.tensor(numbers, dtype=t.float64) for t in (flambeau, torch))
    for inverse in (flambeau.linalg.inv(x).numpy(), torch.linalg.inv(y).numpy()):
        assert np.isfinite(inverse).all()
        assert (np.abs(inverse) > 1e14).all()
    found = flambeau.linalg.solve(x, x[:, :1])
    np.testing.assert_allclose(x @ found, x[:, :1], 1e-6)
