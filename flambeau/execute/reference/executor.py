"""Runs programs with NumPy, one primitive at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType, bfloat16_from_float32
from flambeau.execute.reference.schedule import Schedule, decode, encode, takes_long
from flambeau.graph.program import Program
from flambeau.ops.primitive import Array
from flambeau.ops.value import Scalar

__all__ = ["Schedule", "decode", "encode", "execute", "takes_long", "to_array"]


def execute(program: Program, bases: Sequence[Array], scalars: Sequence[Scalar]) -> list[Array]:
    """Computes the program; returns the results as contiguous arrays and writes the updates into
    `bases`.

    `bases` are flat arrays in storage form (bfloat16 as uint16 bits). Nothing is written if a
    primitive raises. Whoever runs a program again keeps its Schedule.
    """
    return Schedule(program).run(bases, scalars)


def to_array(value: Any, dtype: DType) -> Array:
    """A scalar or nested list as an array of `dtype` in storage form."""
    if dtype.name == "bfloat16":
        return bfloat16_from_float32(np.asarray(value, np.float32))
    return np.asarray(value, dtype.numpy)
