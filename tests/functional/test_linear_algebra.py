"""Products of matrices and vectors, einsum and what is made of them, against PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from against_torch import (
    MINE,
    Case,
    check_error,
    check_gradients,
    check_values,
    draw,
    mine_of,
    same,
)

import flambeau
from flambeau.functional import linear_algebra, shaping
from flambeau.functional.conversion import complex as make_complex
from flambeau.tensor.overriding import plain

pytestmark = pytest.mark.parity

SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (3,)), ((1, 1), (1, 1)), ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
    ((0, 2, 3), (3, 4)), ((4, 0, 3), (4, 3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES)
def test_matmul(shapes: Any) -> None:
    a, b = draw(*shapes[0]), draw(*shapes[1], seed=1)
    check_values(lambda t, a, b: t.matmul(a, b), a, b)
    if a.numel() and b.numel():
        folds = (
            len(shapes[0]) == 2 and len(shapes[1]) > 2
        )  # where PyTorch's name depends on how it folds
        check_gradients(lambda t, a, b: t.matmul(a, b), a, b, names=not folds)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8):
        low = (
            (a.abs() if dtype is torch.uint8 else a).to(dtype),
            (b.abs() if dtype is torch.uint8 else b).to(dtype),
        )
        check_values(lambda t, a, b: t.matmul(a, b), *low)


def test_matmul_of_other_layouts() -> None:
    a, b = draw(3, 5).t(), draw(4, 3).t()
    check_values(lambda t, a, b: t.matmul(a, b), a, b)
    check_gradients(lambda t, a, b: t.matmul(a, b), a, b)
    a, b = draw(2, 3, 5).transpose(1, 2), draw(4, 2, 3).permute(1, 2, 0)
    check_values(lambda t, a, b: t.bmm(a, b), a, b)
    check_gradients(lambda t, a, b: t.matmul(a, b), a, b)


def test_half_precision_accumulates_in_float32() -> None:
    a, b = (
        torch.full((1, 4096), 0.01, dtype=torch.float16),
        torch.ones(4096, 1, dtype=torch.float16),
    )
    exact = float(a.double() @ b.double())
    assert abs(float(linear_algebra.mm(mine_of(a), mine_of(b)).item()) - exact) < 0.03


def test_matmul_of_nan_and_infinity() -> None:
    a, b = draw(3, 4), draw(4, 2)
    a[1, 2], b[0, 1] = math.nan, math.inf
    check_values(lambda t, a, b: t.matmul(a, b), a, b)


PRODUCTS: dict[str, tuple[Case, list[tuple[int, ...]]]] = {
    "mm": (lambda t, a, b: t.mm(a, b), [(2, 3), (3, 4)]),
    "bmm": (lambda t, a, b: t.bmm(a, b), [(5, 2, 3), (5, 3, 4)]),
    "mv": (lambda t, a, b: t.mv(a, b), [(2, 3), (3,)]),
    "dot": (lambda t, a, b: t.dot(a, b), [(3,), (3,)]),
    "vdot": (lambda t, a, b: t.vdot(a, b), [(3,), (3,)]),
    "outer": (lambda t, a, b: t.outer(a, b), [(3,), (4,)]),
    "ger": (lambda t, a, b: t.ger(a, b), [(3,), (4,)]),
    "inner": (lambda t, a, b: t.inner(a, b), [(2, 3), (4, 5, 3)]),
    "inner vectors": (lambda t, a, b: t.inner(a, b), [(3,), (3,)]),
    "inner scalar": (lambda t, a, b: t.inner(a, b), [(), (3,)]),
    "addmm": (lambda t, x, a, b: t.addmm(x, a, b), [(2, 4), (2, 3), (3, 4)]),
    "addmm row": (lambda t, x, a, b: t.addmm(x, a, b, beta=0.5, alpha=2), [(4,), (2, 3), (3, 4)]),
    "addmm alpha": (lambda t, x, a, b: t.addmm(x, mat1=a, mat2=b, alpha=-1.5),
        [(1, 4), (2, 3), (3, 4)]),
    "addmv": (lambda t, x, a, b: t.addmv(x, a, b, alpha=3), [(2,), (2, 3), (3,)]),
    "addbmm": (lambda t, x, a, b: t.addbmm(x, a, b, beta=2), [(2, 4), (5, 2, 3), (5, 3, 4)]),
    "baddbmm": (lambda t, x, a, b: t.baddbmm(x, a, b, beta=2, alpha=0.5),
        [(2, 4), (5, 2, 3), (5, 3, 4)]),
    "addr": (lambda t, x, a, b: t.addr(x, a, b, alpha=0.5), [(3, 4), (3,), (4,)]),
    "tensordot": (lambda t, a, b: t.tensordot(a, b), [(2, 3, 4), (3, 4, 5)]),
    "tensordot 1": (lambda t, a, b: t.tensordot(a, b, 1), [(2, 3), (3, 4, 5)]),
    "tensordot 0": (lambda t, a, b: t.tensordot(a, b, dims=0), [(2, 3), (4,)]),
    "tensordot dims": (lambda t, a, b: t.tensordot(a, b, dims=([0, 2], [-1, 0])),
        [(2, 3, 4), (4, 5, 2)]),
    "kron": (lambda t, a, b: t.kron(a, b), [(2, 3), (3, 2)]),
    "kron ranks": (lambda t, a, b: t.kron(a, b), [(2,), (2, 3, 2)]),
    "chain_matmul": (lambda t, a, b, c: t.chain_matmul(a, b, c), [(2, 3), (3, 6), (6, 4)]),
    "trace": (lambda t, a: t.trace(a), [(3, 5)]),
    "trace tall": (lambda t, a: t.trace(a), [(5, 2)]),
    "tril": (lambda t, a: t.tril(a), [(2, 3, 4)]),
    "triu": (lambda t, a: t.triu(a, 1), [(4, 3)]),
    "tril below": (lambda t, a: t.tril(a, diagonal=-2), [(4, 4)]),
    "cross": (lambda t, a, b: t.cross(a, b, dim=1), [(2, 3, 4), (2, 3, 4)]),
    "cross first": (lambda t, a, b: t.cross(a, b), [(3, 2), (3, 2)]),
    "cdist": (lambda t, a, b: t.cdist(a, b), [(4, 3), (5, 3)]),
    "cdist batches": (lambda t, a, b: t.cdist(a, b), [(2, 1, 4, 3), (3, 5, 3)]),
    "cdist 1": (lambda t, a, b: t.cdist(a, b, p=1), [(4, 3), (5, 3)]),
    "cdist 3": (lambda t, a, b: t.cdist(a, b, 3.0), [(4, 3), (5, 3)]),
    "cdist inf": (lambda t, a, b: t.cdist(a, b, p=math.inf), [(4, 3), (5, 3)]),
    "cdist many": (lambda t, a, b: t.cdist(a, b), [(30, 3), (5, 3)]),
}  # fmt: skip
FIRST_ORDER_ONLY = ("cdist",)
NAMES_DIFFER = ("inner", "tensordot", "chain", "kron", "ger", "addr", "cdist many")


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    case, shapes = PRODUCTS[name]
    tensors = [draw(*shape, seed=place) for place, shape in enumerate(shapes)]
    check_values(case, *tensors)
    check_values(case, *[x.float() for x in tensors])
    turned = [
        x.transpose(0, -1).contiguous().transpose(0, -1) if x.ndim > 1 else x for x in tensors
    ]
    if name != "kron ranks":  # PyTorch's fails for these layouts
        check_values(case, *turned, strides=False)
    check_gradients(
        case,
        *tensors,
        second=not name.startswith(FIRST_ORDER_ONLY),
        names=not name.startswith(NAMES_DIFFER),
    )


@pytest.mark.parametrize(
    "name", [n for n in PRODUCTS if not n.startswith(("cdist", "cross", "addr"))]
)
def test_integer_products(name: str) -> None:
    case, shapes = PRODUCTS[name]
    check_values(case, *[draw(*shape, seed=place).long() for place, shape in enumerate(shapes)])


TRUTHS: dict[str, Any] = {
    "mv": (lambda t, a, b: a @ b, [(3, 2), (2,)], [(3, 0), (0,)], [(0, 2), (2,)]),
    "vm": (lambda t, a, b: a @ b, [(2,), (2, 3)], [(0,), (0, 3)]),
    "dot": (lambda t, a, b: a @ b, [(2,), (2,)], [(0,), (0,)]),
    "mm": (lambda t, a, b: a @ b, [(3, 2), (2, 3)], [(3, 0), (0, 2)]),
    "bmm": (lambda t, a, b: t.bmm(a, b), [(2, 3, 2), (2, 2, 3)], [(2, 3, 0), (2, 0, 3)]),
    "batches": (lambda t, a, b: a @ b, [(4, 1, 3, 2), (2, 2, 3)], [(4, 1, 3, 0), (2, 0, 3)]),
    "rows": (lambda t, a, b: a @ b, [(4, 3, 2), (2,)], [(4, 3, 0), (0,)]),
    "einsum": (lambda t, a, b: t.einsum("ij,j->i", a, b), [(3, 2), (2,)], [(3, 0), (0,)]),
    "tensordot": (lambda t, a, b: t.tensordot(a, b, 1), [(3, 2), (2, 3)], [(3, 0), (0, 2)]),
    "addmv": (lambda t, a, b: t.addmv(a[:, :1].any(1), a, b), [(3, 2), (2,)], [(3, 0), (0,)]),
    "baddbmm": (lambda t, a, b: t.baddbmm(a[..., :1], a, b), [(2, 3, 2), (2, 2, 3)]),
    "addbmm": (lambda t, a, b: t.addbmm(a[0, :, :1], a, b), [(2, 3, 2), (2, 2, 3)]),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_products_of_truths(name: str) -> None:
    """PyTorch has no kernels for them, and asks for none where an operand is empty (but in dot)."""
    case, *shapes = TRUTHS[name]
    for pair in shapes:
        said = []
        for library in (torch, flambeau):
            operands = [library.ones(shape, dtype=library.bool) for shape in pair]
            try:
                said.append(case(library, *operands).tolist())
            except NotImplementedError as error:
                said.append(str(error))
        assert said[1] == said[0], (name, pair)


EQUATIONS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ba", [(2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("iij->ji", [(3, 3, 2)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i->", [(3,), (3,)]), ("ij,ij->ij", [(2, 3), (2, 3)]),
    ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
    ("bij,jk->bik", [(5, 2, 3), (3, 4)]), ("...ij,...jk->...ik", [(5, 2, 3), (5, 3, 4)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (5, 3, 4)]), ("...i->...", [(2, 3, 4)]),
    ("i...,i...->...", [(2, 3), (2, 3)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]), ("ab,bc,ca->", [(2, 3), (3, 4), (4, 2)]),
    ("ij,kl->ik", [(2, 3), (4, 5)]),
    ("ij,j->i", [(2, 3), (1,)]), ("ij,ij->i", [(2, 3), (1, 3)]), ("aB,Ba->a", [(2, 3), (3, 2)]),
    ("  i j , j k -> i k ", [(2, 3), (3, 4)]),
    ("ijk,ijl,ijm->klm", [(2, 3, 2), (2, 3, 4), (2, 3, 5)]),
    (",i->i", [(), (3,)]),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(EQUATIONS)))
def test_einsum(place: int) -> None:
    equation, shapes = EQUATIONS[place]
    tensors = [draw(*shape, seed=n) for n, shape in enumerate(shapes)]

    def case(t: Any, *xs: Any) -> Any:
        return t.einsum(equation, *xs)

    check_values(case, *tensors, strides=False)
    check_gradients(case, *tensors, names=False)
    check_values(case, *[x.long() for x in tensors], strides=False)


def test_einsum_by_sublists() -> None:
    a, b = draw(2, 3), draw(3, 4)
    check_values(lambda t, a, b: t.einsum(a, [0, 1], b, [1, 2], [2, 0]), a, b, strides=False)
    check_values(lambda t, a, b: t.einsum(a, [0, 1], b, [1, 2]), a, b, strides=False)
    check_values(lambda t, a: t.einsum(a, [..., 40], [40, ...]), draw(2, 3, 4), strides=False)
    check_values(lambda t, a, b: t.einsum("ij,jk->ik", [a, b]), a, b, strides=False)


def test_multi_dot() -> None:
    tensors = [draw(4), draw(4, 10), draw(10, 2), draw(2)]
    for part in (tensors, tensors[:3], tensors[1:], tensors[1:3]):
        ours = linear_algebra.multi_dot([mine_of(x) for x in part])
        same(ours, torch.linalg.multi_dot(part), "multi_dot")
    check_gradients(
        lambda t, *xs: t.linalg.multi_dot(xs),
        draw(2, 5),
        draw(5, 1),
        draw(1, 6),
        names=False,
    )


def test_beta_zero_hides_the_input() -> None:
    x = torch.full((2, 4), math.nan, dtype=torch.float64)
    a, b = draw(2, 3), draw(3, 4)
    check_values(lambda t, x, a, b: t.addmm(x, a, b, beta=0), x, a, b)
    check_values(lambda t, x, a, b: t.baddbmm(x, a, b, beta=0.0), x, draw(5, 2, 3), draw(5, 3, 4))


def test_in_place() -> None:
    x, a, b = draw(2, 4), draw(2, 3), draw(3, 4)
    ours = mine_of(x)
    assert linear_algebra.addmm_(ours, mine_of(a), mine_of(b), beta=0.5) is ours
    same(ours, torch.addmm(x, a, b, beta=0.5), "addmm_")
    for name in ("tril_", "triu_"):
        shaping.METHODS[name](ours, 1)
    same(ours, torch.addmm(x, a, b, beta=0.5).tril(1).triu(1), "triangles")
    with pytest.raises(RuntimeError, match="broadcast shape"):
        linear_algebra.addmm_(mine_of(draw(4)), mine_of(a), mine_of(b))


def test_scalars_are_no_new_program() -> None:
    x, a, b = draw(2, 4), draw(2, 3), draw(3, 4)
    for alpha in (0.25, 0.5, 3.0):
        ours = linear_algebra.addmm(mine_of(x), mine_of(a), mine_of(b), alpha=alpha)
        same(ours, torch.addmm(x, a, b, alpha=alpha), "addmm")


def test_gradient_of_equal_points() -> None:
    a = draw(3, 2)
    check_gradients(lambda t, a: t.cdist(a, a), a, second=False)


def test_complex_products() -> None:
    z, w = (torch.complex(draw(3, 4, seed=s), draw(3, 4, seed=s + 1)) for s in (0, 5))
    mine = [make_complex(mine_of(x.real.clone()), mine_of(x.imag.clone())) for x in (z, w)]
    np.testing.assert_allclose(
        linear_algebra.einsum("ij,kj->ik", *mine)._values(),
        torch.einsum("ij,kj->ik", z, w).numpy(),
        rtol=1e-12,
    )
    ours = linear_algebra.vdot(
        *[make_complex(mine_of(x[0].real.clone()), mine_of(x[0].imag.clone())) for x in (z, w)]
    )
    np.testing.assert_allclose(ours._values(), torch.vdot(z[0], w[0]).numpy(), rtol=1e-12)


ERRORS: list[Case] = [
    lambda t, x, d, i, m: t.mm(x, x),
    lambda t, x, d, i, m: t.mm(x, d),
    lambda t, x, d, i, m: t.matmul(x, x),
    lambda t, x, d, i, m: t.matmul(x, d),
    lambda t, x, d, i, m: t.matmul(x, 2),
    lambda t, x, d, i, m: t.matmul(t.sum(x), x),
    lambda t, x, d, i, m: t.matmul(x, t.sum(x, 1)),
    lambda t, x, d, i, m: t.matmul(t.sum(x, 0), x),
    lambda t, x, d, i, m: t.matmul(t.gt(x, 0), t.gt(t.mul(i, 1), 0)),
    lambda t, x, d, i, m: t.bmm(m, m),
    lambda t, x, d, i, m: t.bmm(x, x),
    lambda t, x, d, i, m: t.matmul(m, m),
    lambda t, x, d, i, m: t.mm(t.sum(x, 0), x),
    lambda t, x, d, i, m: t.mv(x, t.sum(x, 1)),
    lambda t, x, d, i, m: t.mv(t.sum(x, 0), x),
    lambda t, x, d, i, m: t.mv(x, t.sum(d, 1)),
    lambda t, x, d, i, m: t.dot(t.sum(x, 0), t.sum(x, 1)),
    lambda t, x, d, i, m: t.dot(t.sum(x, 0), t.sum(d, 1)),
    lambda t, x, d, i, m: t.dot(x, x),
    lambda t, x, d, i, m: t.addmm(x, x, x),
    lambda t, x, d, i, m: t.addmm(x, d, t.mul(x, t.mean(d))),
    lambda t, x, d, i, m: t.addmm(x, x, t.sum(m, 0)),
    lambda t, x, d, i, m: t.addmm(d, t.tril(x), t.mm(t.mul(x, 1), x)),
    lambda t, x, d, i, m: t.addr(x, t.sum(x, 0), t.sum(x, 0)),
    lambda t, x, d, i, m: t.addr(i, t.prod(i, 1), t.prod(i, 0), alpha=0.5),
    lambda t, x, d, i, m: t.outer(x, x),
    lambda t, x, d, i, m: t.inner(x, t.sum(m, 2)),
    lambda t, x, d, i, m: t.tensordot(x, x, 1),
    lambda t, x, d, i, m: t.tensordot(x, x, 5),
    lambda t, x, d, i, m: t.tensordot(x, x, ([0], [1])),
    lambda t, x, d, i, m: t.chain_matmul(x, x),
    lambda t, x, d, i, m: t.trace(t.sum(x, 0)),
    lambda t, x, d, i, m: t.tril(t.sum(x, 0)),
    lambda t, x, d, i, m: t.cross(x, x, dim=1),
    lambda t, x, d, i, m: t.cdist(x, t.sum(m, 0), p=-1),
    lambda t, x, d, i, m: t.cdist(i, i),
    lambda t, x, d, i, m: t.cdist(x, t.sum(x, 0)),
    lambda t, x, d, i, m: t.cdist(x, d),
    lambda t, x, d, i, m: t.einsum("ij,jk->ik", x, x),
    lambda t, x, d, i, m: t.einsum("ij,jk", x),
    lambda t, x, d, i, m: t.einsum("ij", x, x),
    lambda t, x, d, i, m: t.einsum("ij->iz", x),
    lambda t, x, d, i, m: t.einsum("ij->ii", x),
    lambda t, x, d, i, m: t.einsum("i->i", x),
    lambda t, x, d, i, m: t.einsum("ijk...->i", x),
    lambda t, x, d, i, m: t.einsum("ii->i", x),
    lambda t, x, d, i, m: t.einsum("i1->i", x),
    lambda t, x, d, i, m: t.einsum("i..->i", x),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors(place: int) -> None:
    x = draw(3, 4, dtype=torch.float32)
    check_error(
        ERRORS[place],
        x,
        draw(4, 3),
        torch.arange(12).reshape(4, 3),
        draw(1, 3, 4, dtype=torch.float32),
    )


def test_operator() -> None:
    a, b = draw(2, 3), draw(3, 4)
    same(linear_algebra.matmul_operator(mine_of(a), mine_of(b)), a @ b, "matmul")
    assert linear_algebra.matmul_operator(mine_of(a), 3) is NotImplemented
    assert plain(MINE.matmul) is linear_algebra.METHODS["matmul"]


MIXED = [
    *[((0, 3), (1, 3, 4)), ((2, 3), (2, 3, 0)), ((2, 2, 0), (2, 0, 3)), ((0, 2, 3), (0, 3, 3))],
    *[
        ((2, 3), (2, 3, 4)),
        ((3,), (2, 3, 4)),
        ((4, 0, 3), (3,)),
        ((4, 2, 3), (3,)),
        ((0, 3), (3, 4)),
    ],
    *[((2, 0), (0,)), ((0,), (0,)), ((3,), (3, 0))],
]


@pytest.mark.parametrize("shapes", MIXED, ids=str)
@pytest.mark.parametrize(
    "kinds", [("float32", "float64"), ("int32", "float32"), ("float32", "int64")]
)
def test_products_of_two_dtypes(shapes: Any, kinds: tuple[str, str]) -> None:
    """Batches without elements have that of the second operand (random program 350,829,663)."""
    said = []
    for library in (torch, flambeau):
        a, b = (
            library.ones(shape, dtype=getattr(library, kind))
            for shape, kind in zip(shapes, kinds, strict=True)
        )
        try:
            found = a @ b
            said.append((found.tolist(), str(found.dtype).removeprefix("torch.")))
        except RuntimeError as error:
            said.append(str(error).split("\n")[0])
    assert said[1] == said[0]
