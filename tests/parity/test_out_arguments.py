"""`out=` of other shapes and layouts, for every op of PyTorch's database that takes it: the result,
the strides of `out`, and the warning where one with elements is resized.

The samples are those of `op_database.py`. An op may write to an `out` that PyTorch's refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
op_database = pytest.importorskip(
    "op_database", reason="PyTorch's database of ops cannot be imported here"
)

pytestmark = pytest.mark.parity

Make = Callable[[Any, Any], Any]
FORMS: dict[str, Make] = {
    "without elements": lambda shape, dtype: torch.empty(0, dtype=dtype),
    "of another shape": lambda shape, dtype: torch.full((7, 1, 2), 3).to(dtype),
    "a view of another shape": lambda shape, dtype: torch.zeros(50, dtype=dtype)[3:20:2],
    "turned": lambda shape, dtype: torch.zeros(shape[::-1], dtype=dtype).permute(
        tuple(range(len(shape)))[::-1]
    ),
    "every second element": lambda shape, dtype: (
        torch.zeros((*shape[:-1], 2 * shape[-1]), dtype=dtype)[..., ::2]
        if shape
        else torch.zeros((), dtype=dtype)
    ),
}
ELSEWHERE = ("linalg.", "fft.", "special.", "signal.", "nn.")
# What is not compared, and why.
LEFT_OUT = {
    "narrow_copy": "PyTorch writes past an `out` that is not contiguous",
    "normal": "PyTorch warns where the mean is a tensor only",
    "normal.number_mean": "PyTorch draws in the order of the memory of `out`",
    "lu_solve": "PyTorch's strides are LAPACK's",
    "ormqr": "PyTorch's strides are LAPACK's",
}
# Ops that warn here where PyTorch resizes in silence.
SILENT = {"addbmm", "bernoulli", "multinomial"}
OPS = {
    op_database.name_of(op): op
    for op in op_database.chosen()
    if op.supports_out and not op.name.startswith(ELSEWHERE)
}


def told(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:
    """What a call gives (or the name of its error), and its warnings of resized results."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            result = type(error).__name__
    texts = [str(one.message).split(" (Triggered")[0] for one in caught]
    return result, [text for text in texts if "was resized" in text]


@pytest.mark.parametrize("name", [name for name in OPS if name not in LEFT_OUT])
def test_out(name: str) -> None:
    op = OPS[name]
    dtype = next((d for d in (torch.float32, torch.int64) if d in op.dtypes), None)
    sample = next(iter(op.sample_inputs("cpu", dtype, requires_grad=False)), None)
    if dtype is None or sample is None:
        pytest.skip("no sample of these dtypes")
    given = (sample.input, *sample.args)
    torch.manual_seed(5)
    wanted, _ = told(op.op, *op_database._fresh(given), **op_database._fresh(sample.kwargs))
    if not isinstance(wanted, torch.Tensor):
        pytest.skip("not one tensor")
    for form, make in FORMS.items():
        theirs = make(tuple(wanted.shape), wanted.dtype)
        args, kwargs = op_database._fresh(given), op_database._fresh(sample.kwargs)
        memo: dict[Any, Any] = {}
        mine = op_database.mine(theirs, memo)
        our_args, our_kwargs = op_database.mine(args, memo), op_database.mine(kwargs, memo)
        torch.manual_seed(5)
        op_database.flambeau.manual_seed(5)
        expected, warned = told(op.op, *args, **kwargs, out=theirs)
        function = op_database.public_function(op)
        found, also = told(function, *our_args, **our_kwargs, out=mine)
        assert isinstance(found, str) == isinstance(expected, str), (form, expected, found)
        if isinstance(expected, str):
            continue
        assert also == warned or name in SILENT, form
        values = op.name not in op_database.UNWRITTEN
        slack = op_database.SLACK.get(op.name, 1)
        op_database.compare(mine, theirs, slack, strides=True, values=values)
        assert found is mine or np.shares_memory(op_database.array(found), op_database.array(mine))
