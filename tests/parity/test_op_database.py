"""PyTorch's database of ops: a few samples of each here, all of them with OP_DATABASE=all.

`python tests/parity/op_database.py` prints the whole table.
"""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")
op_database = pytest.importorskip(
    "op_database", reason="PyTorch's database of ops cannot be imported here"
)

pytestmark = pytest.mark.parity

ALL = os.environ.get("OP_DATABASE") == "all"
# Tested beside their own modules, where their samples need more than a few roundings' tolerance.
ELSEWHERE = ("linalg.", "fft.", "special.", "signal.", "nn.")
# By op, what is judged elsewhere: not here unless OP_DATABASE=all.
JUDGED: dict[str, str] = {
    **dict.fromkeys(
        """stft istft cholesky geqrf lu lu_solve matrix_exp ormqr qr triangular_solve
        renorm complex pinverse cholesky_inverse polar
        cholesky_solve logdet igamma igammac i0 lu_unpack angle view_as_complex view_as_real
        conj_physical resolve_conj resolve_neg polygamma.polygamma_n_0 polygamma.polygamma_n_1
        polygamma.polygamma_n_2 polygamma.polygamma_n_3 polygamma.polygamma_n_4""".split(),
        "decompositions, transforms, special functions: tests of their own",
    ),
}
OPS = {
    op_database.name_of(op): op
    for op in op_database.chosen()
    if ALL or not op.name.startswith(ELSEWHERE)
}


@pytest.mark.parametrize("name", [n for n in OPS if ALL or n not in JUDGED])
def test_op(name: str) -> None:
    """Samples with gradients, the op's other forms (method, in place, out=), and its errors."""
    runner = op_database.Runner([torch.float32, torch.int64], samples=None if ALL else 2)
    report = runner.run(OPS[name])
    assert not report.notes, report.line()


def test_what_is_judged_elsewhere_still_exists() -> None:
    assert set(JUDGED) <= {op_database.name_of(op) for op in op_database.database()}
