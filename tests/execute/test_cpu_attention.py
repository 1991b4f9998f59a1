"""Attention's kernels beside the primitives written out, and their NumPy meaning."""

from __future__ import annotations

import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.ops import attention as at
from flambeau.ops import view

# (B, H, L, S, E, V, causal); the last two have no kernel: they are written out.
CASES = [
    (2, 3, 64, 64, 32, 32, True),
    (1, 2, 20, 70, 16, 48, False),
    (2, 2, 70, 20, 16, 16, True),
    (1, 1, 260, 260, 16, 16, True),
    (1, 2, 9, 11, 12, 20, True),
    (1, 2, 9, 11, 16, 16, True),
]


@pytest.mark.parametrize("case", CASES)
def test_kernels(case: tuple[int, ...]) -> None:
    b, h, rows, columns, features, width, causal = case
    dtype = dtypes.float64 if case is CASES[-1] else dtypes.float32
    build = Builder(str(case))
    q = view.permute(build.random((b, rows, h, features), dtype), order=(0, 2, 1, 3))
    k = view.permute(build.random((b, columns, h, features), dtype), order=(0, 2, 1, 3))
    v = build.random((b, h, columns, width), dtype)
    ct = build.random((b, h, rows, width), dtype)
    attrs = {"causal": bool(causal), "scale": -0.3 if case is CASES[1] else 0.3}
    result, saved = at.attention(q, k, v, **attrs), at.attention_saved(q, k, v, **attrs)
    grad = at.attention_grad(ct, q, k, v, result, saved, **attrs)
    native = case not in CASES[-2:]
    both = build.check([result, saved, grad], tolerance=60)
    kernels = [kernel.label for kernel in both.kernels if "attention" in kernel.label]
    assert len(kernels) in ((0, 2) if native else (0,))  # none without AVX-512
    written = [at.in_other_primitives(x, x.inputs) for x in (result, saved, grad)]
    build.check(written, tolerance=60)
    build.check([result], tolerance=60)
