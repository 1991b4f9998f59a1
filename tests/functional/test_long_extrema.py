"""Running extrema of long rows: values and places as in PyTorch, whatever stands in the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity


def rows(kind: str, dtype: str, length: int) -> Any:
    rng = np.random.default_rng(length)
    x = rng.standard_normal((5, length)) * 8
    if kind == "ties":
        x = np.round(x / 4)
    elif kind == "zeros of both signs":
        x = np.where(rng.random(x.shape) < 0.5, 0.0, -0.0)
    elif kind == "rising":
        x = np.sort(x)
    elif kind == "falling":
        x = -np.sort(x)
    elif kind == "infinities":
        x[:, ::7] = np.inf
        x[1:, ::5] = -np.inf
        x[2] = -np.inf
    elif kind == "NaN":
        x[0, length // 2] = x[1, 0] = x[2, -1] = np.nan
        x[3, ::9] = np.nan
    return torch.tensor(x).to(getattr(torch, dtype))


KINDS = ("any", "ties", "zeros of both signs", "rising", "falling", "infinities", "NaN")
FLOATS = ("float64", "float32", "float16", "bfloat16")


@pytest.mark.parametrize("name", ["cummax", "cummin"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int32", "int8", "uint8"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_in_pytorch(name: str, dtype: str, kind: str) -> None:
    if dtype not in FLOATS and kind in ("infinities", "NaN"):
        pytest.skip("integers have none")
    for length in (32, 61, 64, 1000):
        x = rows(kind, dtype, length)
        if dtype == "uint8":
            x = x.abs()
        wanted, places = getattr(x, name)(1)
        mine = flambeau.tensor(x.tolist(), dtype=getattr(flambeau, dtype))
        for _ in range(3):  # in the reference executor, compiled, recognised
            found, where = getattr(mine, name)(1)
            assert where.tolist() == places.tolist()
            assert repr(found.tolist()) == repr(wanted.tolist())


def test_beside_what_reads_other_places() -> None:
    """The values are taken at places that are in range, where other parts of a result are not."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3, 70))
    for _ in range(3):
        outcomes = []
        for library in (torch, flambeau):
            y = library.tensor(x, requires_grad=True)
            joined = library.cat([y.cummax(1)[0], y * 2, y.flip(0).cummin(1)[0][:, :5]], 1)
            padded = library.nn.functional.pad(joined, (2, 3)).roll(4, 1)
            (padded * library.arange(150.0)).sum().backward()
            outcomes.append((padded.tolist(), y.grad.tolist()))
        np.testing.assert_allclose(outcomes[0][0], outcomes[1][0], 1e-12)
        np.testing.assert_allclose(outcomes[0][1], outcomes[1][1], 1e-12)
