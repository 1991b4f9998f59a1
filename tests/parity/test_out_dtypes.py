"""`out=` of other dtypes: what converts, in which dtype it is computed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity

OUTS = ("float32", "float64", "float16", "int64", "bool", "complex64")
Call = Callable[[Any, Any, Any], Any]  # of the library, a 3 x 3 tensor and out
CALLS: dict[str, Call] = {
    **{
        name: lambda t, x, out, n=name: getattr(t, n)(x, out=out)  # type: ignore[misc]
        for name in ("abs ceil floor neg round sign sgn trunc square argmax argmin msort").split()
    },
    **{
        name: lambda t, x, out, n=name: getattr(t, n)(x, x, out=out)  # type: ignore[misc]
        for name in "mm add mul maximum eq logical_and isin".split()
    },
    **{
        name: lambda t, x, out, n=name: getattr(t, n)(x, 0, out=out)  # type: ignore[misc]
        for name in "cumsum cumprod sum prod".split()
    },
    "addmm": lambda t, x, out: t.addmm(x, x, x, out=out),
    "addmv": lambda t, x, out: t.addmv(x[0], x, x[0], out=out),
    "baddbmm": lambda t, x, out: t.baddbmm(x[None], x[None], x[None], out=out),
    "addr": lambda t, x, out: t.addr(x, x[0], x[0], out=out),
    "bmm": lambda t, x, out: t.bmm(x[None], x[None], out=out),
    "mv": lambda t, x, out: t.mv(x, x[0], out=out),
    "index_add": lambda t, x, out: t.index_add(x, 0, t.tensor([0]), x[:1], out=out),
    "index_copy": lambda t, x, out: t.index_copy(x, 0, t.tensor([0]), x[:1], out=out),
    "scatter": lambda t, x, out: t.scatter(x, 0, t.tensor([[0]]), x, out=out),
    "scatter_add": lambda t, x, out: t.scatter_add(x, 0, t.tensor([[0]]), x, out=out),
    "gather": lambda t, x, out: t.gather(x, 0, t.tensor([[0]]), out=out),
    "cross": lambda t, x, out: t.linalg.cross(x, x.flip(0), out=out),
    "lerp": lambda t, x, out: t.lerp(x.float(), x.float(), 0.5, out=out),
    "softmax": lambda t, x, out: t.softmax(x.float(), 0, out=out),
    "inverse": lambda t, x, out: t.inverse(x.float(), out=out),
    "vector_norm": lambda t, x, out: t.linalg.vector_norm(x.float(), out=out),
}


def outcome(t: Any, call: Call, dtype: str, out: str) -> Any:
    x = t.tensor([[1.5, 2.0, 0.5], [1.0, 3.0, 2.0], [0.25, 0.5, 2.0]]).to(getattr(t, dtype))
    try:
        made = call(t, x, t.empty(0, dtype=getattr(t, out)))
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0]
    return str(made.dtype).split(".")[-1], made.tolist()


@pytest.mark.parametrize("name", CALLS)
def test_out_of_another_dtype(name: str) -> None:
    for dtype in ("float32", "int64"):
        for out in OUTS:
            ours, theirs = (outcome(t, CALLS[name], dtype, out) for t in (flambeau, torch))
            what = f"{name} of {dtype} to {out}"
            if isinstance(theirs[1], str):
                assert ours == theirs, what
            else:
                assert ours[0] == theirs[0], what
                assert flatten(ours[1]) == pytest.approx(flatten(theirs[1]), rel=1e-5), what


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "sum", "prod"])
def test_folds_are_computed_in_the_dtype_of_out(name: str) -> None:
    found = []
    for t in (flambeau, torch):
        x = t.tensor([0.1, 0.2, 0.3, 0.7])
        found.append(getattr(t, name)(x, 0, out=t.empty(0, dtype=t.float64)).tolist())
    assert found[0] == pytest.approx(found[1], rel=1e-14)


def flatten(numbers: Any) -> list[Any]:
    if not isinstance(numbers, list):
        return [numbers]
    return [number for part in numbers for number in flatten(part)]
