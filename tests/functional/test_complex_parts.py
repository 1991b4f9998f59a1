"""Complex numbers of their parts, at infinities, NaN and zeros of both signs."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau
from flambeau.record.options import OPTIONS

EDGES = [0.0, -0.0, 1.5, float("inf"), -float("inf"), float("nan")]


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_stay_as_they_are(
    dtype: type, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OPTIONS, "executor", executor)
    real, imag = (part.ravel() for part in np.meshgrid(np.array(EDGES, dtype), EDGES))
    imag = imag.astype(dtype)
    made = flambeau.complex(flambeau.tensor(real), flambeau.tensor(imag)).numpy()
    assert made.dtype == np.result_type(dtype, np.complex64)
    for part, given in ((made.real, real), (made.imag, imag)):
        np.testing.assert_array_equal(part, given)
        assert (np.signbit(part) == np.signbit(given))[~np.isnan(given)].all()
