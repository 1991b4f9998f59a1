"""Attention's kernels beside the primitives written out, and their NumPy meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.execute.cpu.attention_rows import lanes_of
from flambeau.execute.cpu.target import Target
from flambeau.ops import arithmetic as ar
from flambeau.ops import attention as at
from flambeau.ops import view

# (B, H, L, S, E, V, causal); the last two have no kernel: they are written out. Features of a few
# vectors of 256 bits take these.
CASES = [
    (2, 3, 64, 64, 32, 32, True),
    (1, 2, 20, 70, 16, 48, False),
    (2, 2, 70, 20, 16, 16, True),
    (1, 1, 260, 260, 16, 16, True),
    (1, 2, 33, 21, 24, 8, True),
    (2, 1, 18, 40, 40, 56, True),
    (1, 2, 9, 11, 12, 20, True),
    (1, 2, 9, 11, 16, 16, True),
]


HOST_BITS = min(Target.host().vector_bits, 256)
WIDTHS = [bits for bits in (512, 256, 128) if bits <= Target.host().vector_bits]


def at_widths(cases: list[tuple[Any, ...]], narrow: list[int]) -> list[Any]:
    """The cases at each width; with vectors of 128 bits some of them."""
    few = [cases[number] for number in narrow]
    return [(case, bits) for bits in WIDTHS for case in (few if bits == 128 else cases)]


@pytest.mark.parametrize(("case", "bits"), at_widths(CASES, [1]))
def test_kernels(case: tuple[int, ...], bits: int) -> None:
    b, h, rows, columns, features, width, causal = case
    dtype = dtypes.float64 if case is CASES[-1] else dtypes.float32
    build = Builder(str(case))
    q = view.permute(build.random((b, rows, h, features), dtype), order=(0, 2, 1, 3))
    k = view.permute(build.random((b, columns, h, features), dtype), order=(0, 2, 1, 3))
    v = build.random((b, h, columns, width), dtype)
    ct = build.random((b, h, rows, width), dtype)
    attrs = at.attributes(-0.3 if case is CASES[1] else 0.3, causal)
    result, grad = at.attention(q, k, v, **attrs), at.attention_grad(ct, q, k, v, **attrs)
    native = dtype is dtypes.float32 and (features | width) % lanes_of(HOST_BITS) == 0
    both = build.check([result, grad], tolerance=60, vector_bits=bits)
    kernels = [kernel.label for kernel in both.kernels if "attention" in kernel.label]
    assert len(kernels) == (2 if native else 0)
    written = [at.in_other_primitives(x, x.inputs) for x in (result, grad)]
    build.check(written, tolerance=60)
    build.check([result], tolerance=60)


# (B, H, G, L, S, causal, safe, extras, broadcast axes of the masks)
MASKED = [
    (2, 4, 2, 40, 40, False, False, (), ""),
    (1, 4, 1, 33, 20, True, False, ("factor",), ""),
    (2, 2, 2, 64, 64, False, True, ("added",), "BH"),
    (2, 2, 2, 50, 50, False, True, ("hidden",), "BH"),
    (2, 3, 3, 50, 50, False, False, ("factor", "hidden", "fill"), "BH"),
    (2, 2, 2, 21, 35, False, True, ("hidden",), "HL"),
    (2, 2, 2, 300, 270, True, True, ("added", "hidden", "kept"), "HL"),
    (1, 4, 2, 300, 300, False, False, ("factor", "added", "hidden", "fill", "kept"), ""),
    (2, 2, 1, 17, 33, True, False, ("kept",), "B"),
]


@pytest.mark.parametrize(("case", "bits"), at_widths(MASKED, [4, 8]))
def test_masks_groups_and_dropout(case: tuple[Any, ...], bits: int) -> None:
    b, h, groups, rows, columns, causal, safe, extras, still = case
    build = Builder(str(case))
    q, ct = build.random((b, h, rows, 16)), build.random((b, h, rows, 32))
    k, v = build.random((b, groups, columns, 16)), build.random((b, groups, columns, 32))
    full = tuple(1 if name in still else n for name, n in zip("BHL", (b, h, rows)))
    triangle = np.arange(columns) > np.arange(full[2])[:, None]
    noise = build.rng.random((*full, columns))
    fill = -1e9 if case is MASKED[4] else -np.inf
    given = {
        "factor": ar.cast(build.scalar(0.7, dtypes.float64), dtypes.float32),
        "added": build.data(np.where(triangle | (noise < 0.1), -np.inf, noise), dtypes.float32),
        "hidden": build.data(triangle | (noise < 0.2), dtypes.bool_),
        "fill": ar.cast(build.scalar(fill, dtypes.float64), dtypes.float32),
        "kept": build.random((*full, columns), dtypes.bool_ if causal else dtypes.float32),
    }
    if safe and "hidden" in extras:  # some rows see nothing
        given["hidden"] = build.data(
            triangle | (noise < 0.2) | (noise[..., :1] < 0.3), dtypes.bool_
        )
    elif "hidden" in extras:
        seen = np.arange(columns) == 0
        given["hidden"] = build.data((triangle | (noise < 0.2)) & ~seen, dtypes.bool_)
        given["added"] = build.data(np.where((noise < 0.1) & ~seen, -np.inf, 0), dtypes.float32)
    attrs = at.attributes(0.3, causal, safe, extras, 1.25)
    operands = [q, k, v, *[given[name] for name in extras]]
    result, grad = at.attention(*operands, **attrs), at.attention_grad(ct, *operands, **attrs)
    both = build.check([result, grad], tolerance=100, vector_bits=bits)
    kernels = [kernel.label for kernel in both.kernels if "attention" in kernel.label]
    assert len(kernels) == 2
    build.check([at.in_other_primitives(x, x.inputs) for x in (result, grad)], tolerance=100)
