"""torch.linalg and its older names beside PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from linalg_cases import Case, check, check_error, check_gradients, draw, positive

import flambeau

pytestmark = pytest.mark.parity


def rebuilt(parts: Any) -> Any:
    """A factorisation of Hermitian matrices, free of the choice of signs."""
    values, vectors = parts
    return vectors @ (values.unsqueeze(-1) * vectors.mH), values, vectors.abs()


def svd_parts(t: Any, x: Any, full: bool = False) -> Any:
    u, s, vh = t.linalg.svd(x, full_matrices=full)
    k = s.shape[-1]
    return s, u[..., :k].abs(), vh[..., :k, :].abs(), u[..., :k] @ vh[..., :k, :]


def qr_parts(t: Any, x: Any) -> Any:
    q, r = t.linalg.qr(x)
    return q @ q.mH, r.abs(), q.abs()


def lower(t: Any, x: Any, **options: Any) -> Any:
    return t.linalg.cholesky((x + x.mH) / 2, **options)


S, T, W = (4, 4), (5, 3), (3, 5)
# name: (case, operands); "+" is a positive-definite matrix.
CASES: dict[str, tuple[Case, list[Any]]] = {
    "inv": (lambda t, a: t.linalg.inv(a), [S]),
    "inverse batched": (lambda t, a: a.inverse(), [(2, 3, 3)]),
    "det": (lambda t, a: t.linalg.det(a), [S]),
    "slogdet": (lambda t, a: t.linalg.slogdet(a), [(2, 3, 3)]),
    "logdet": (lambda t, a: t.logdet(a), ["+"]),
    "solve": (lambda t, a, b: t.linalg.solve(a, b), [S, (4, 2)]),
    "solve vector": (lambda t, a, b: t.linalg.solve(a, b), [S, (4,)]),
    "solve batches": (lambda t, a, b: t.linalg.solve(a, b), [(3, 3), (2, 3, 2)]),
    "solve right": (lambda t, a, b: t.linalg.solve(a, b, left=False), [S, (2, 4)]),
    "solve_triangular": (
        lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), ["+", (4, 2)]),
    "solve_triangular right unit": (
        lambda t, a, b: t.linalg.solve_triangular(
            a, b, upper=False, left=False, unitriangular=True), ["+", (2, 4)]),
    "triangular_solve": (
        lambda t, b, a: t.triangular_solve(b, a, transpose=True)[0], [(4, 2), "+"]),
    "cholesky": (lambda t, a: lower(t, a), ["+"]),
    "cholesky upper": (lambda t, a: lower(t, a, upper=True), ["+"]),
    "cholesky_solve": (lambda t, b, a: t.cholesky_solve(b, lower(t, a)), [(4, 2), "+"]),
    "cholesky_inverse": (lambda t, a: t.cholesky_inverse(lower(t, a)), ["+"]),
    "qr": (qr_parts, [T]), "qr wide": (qr_parts, [W]),
    "svd": (svd_parts, [T]), "svd wide": (svd_parts, [W]),
    "svd full": (lambda t, a: svd_parts(t, a, True), [T]),
    "svdvals": (lambda t, a: t.linalg.svdvals(a), [(2, 4, 3)]),
    "eigh": (lambda t, a: rebuilt(t.linalg.eigh((a + a.mH) / 2)), ["+"]),
    "eigvalsh": (lambda t, a: t.linalg.eigvalsh(a, UPLO="U"), ["+"]),
    "lu": (lambda t, a: t.linalg.lu(a), [S]),
    "lu tall": (lambda t, a: t.linalg.lu(a), [T]), "lu wide": (lambda t, a: t.linalg.lu(a), [W]),
    "lu_factor": (lambda t, a: t.linalg.lu_factor(a), [(2, 3, 3)]),
    "lu_solve": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b), [S, (4, 2)]),
    "lu_solve adjoint": (
        lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b, adjoint=True), [S, (4, 2)]),
    "lu_unpack": (lambda t, a: t.lu_unpack(*t.linalg.lu_factor(a)), [S]),
    "pinv": (lambda t, a: t.linalg.pinv(a), [T]), "pinv wide": (lambda t, a: a.pinverse(), [W]),
    "pinv hermitian": (lambda t, a: t.linalg.pinv(a, hermitian=True), ["+"]),
    "pinv of low rank": (lambda t, a, b: t.linalg.pinv(a @ b), [(4, 2), (2, 5)]),
    "lstsq": (lambda t, a, b: t.linalg.lstsq(a, b)[0], [T, (5, 2)]),
    "lstsq gelsd": (lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd")[:2], [T, (5, 2)]),
    "matrix_exp": (lambda t, a: t.linalg.matrix_exp(a), [(2, 3, 3)]),
    "matrix_power": (lambda t, a: t.linalg.matrix_power(a, 5), [S]),
    "matrix_power negative": (lambda t, a: a.matrix_power(-3), ["+"]),
    "norm fro": (lambda t, a: t.linalg.matrix_norm(a), [T]),
    "norm nuc": (lambda t, a: t.linalg.norm(a, "nuc"), [T]),
    "norm 2": (lambda t, a: t.linalg.matrix_norm(a, 2, dim=(0, 2), keepdim=True), [(4, 2, 3)]),
    "norm 1": (lambda t, a: t.linalg.matrix_norm(a, 1), [T]),
    "norm -inf": (lambda t, a: t.linalg.matrix_norm(a, -float("inf")), [T]),
    "norm vector": (lambda t, a: t.linalg.norm(a, 3, dim=1), [T]),
    "cond": (lambda t, a: t.linalg.cond(a), [S]),
    "cond fro": (lambda t, a: t.linalg.cond(a, "fro"), [S]),
    "multi_dot": (lambda t, a, b: t.linalg.multi_dot([a, b, a]), [T, W]),
    "vecdot": (lambda t, a, b: t.linalg.vecdot(a, b, dim=0), [T, T]),
    "tensorinv": (lambda t, a: t.linalg.tensorinv(a, ind=1), [(6, 2, 3)]),
    "tensorsolve": (lambda t, a, b: t.linalg.tensorsolve(a, b), [(2, 3, 6), (2, 3)]),
    "vander": (lambda t, a: t.linalg.vander(a, N=4), [(2, 3)]),
    "householder_product": (
        lambda t, a, b: t.linalg.householder_product(a, b), [T, (3,)]),
    "diagonal": (lambda t, a: t.linalg.diagonal(a, offset=1), [(2, 3, 4)]),
    "cov": (lambda t, a: t.cov(a), [T]), "corrcoef": (lambda t, a: a.corrcoef(), [T]),
    "renorm": (lambda t, a: t.renorm(a, 2, 1, 0.7), [(3, 4, 2)]),
}  # fmt: skip
# LAPACK's reflectors are not invariant; PyTorch has no second derivative of these.
FIRST_ORDER = {"householder_product", "lu_unpack"}
NO_GRADIENT = {"cond fro"}  # PyTorch's overwrites what it needs


def operands(shapes: Any, dtype: str) -> list[Any]:
    return [
        positive(4, dtype=dtype) if shape == "+" else draw(*shape, dtype=dtype, seed=place)
        for place, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", CASES)
def test_values(name: str, dtype: str) -> None:
    case, shapes = CASES[name]
    tolerance = 1e-8 if dtype in ("float64", "complex128") else 3e-3
    check(case, *operands(shapes, dtype), tolerance=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_GRADIENT])
def test_gradients(name: str, dtype: str) -> None:
    case, shapes = CASES[name]
    check_gradients(case, *operands(shapes, dtype), second=name not in FIRST_ORDER)


def eigen_parts(t: Any, x: Any) -> Any:
    """Eigenvalues in the order of their imaginary parts, and vectors without their phases."""
    values, vectors = t.linalg.eig(x)
    order = t.argsort(values.detach().imag + 1e-3 * values.detach().real)
    return values[order], vectors.abs()[:, order]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eig(dtype: str) -> None:
    x = draw(4, 4, dtype=dtype, seed=3)
    check(eigen_parts, x)
    check_gradients(eigen_parts, x)
    check(lambda t, x: t.linalg.eigvals(x).abs().sort()[0], x)


def test_integer_results_and_empty_matrices() -> None:
    low = draw(5, 2) @ draw(2, 4, seed=1)
    check(lambda t, x: t.linalg.matrix_rank(x), low)
    check(lambda t, x: t.linalg.matrix_rank(x @ x.mT, hermitian=True), low)
    check(lambda t, x: t.linalg.matrix_rank(x, atol=1e3), low)
    check(lambda t, x: t.linalg.cholesky_ex(x - 3 * t.eye(4, dtype=x.dtype))[1], positive(4))
    check(lambda t, x: t.linalg.lstsq(x, x, driver="gelsd")[2:], low)
    for name in ("inv", "det", "pinv", "svdvals", "matrix_exp", "cholesky"):
        check(lambda t, x: getattr(t.linalg, name)(x), draw(0, 0))
        check(lambda t, x: getattr(t.linalg, name)(x), draw(0, 3, 3))


def cofactors(x: Any) -> Any:
    """Of a matrix, from the determinants of its minors."""
    found = np.ones_like(x)
    for row, column in np.ndindex(x.shape):
        minor = np.delete(np.delete(x, row, 0), column, 1)
        found[row, column] = (-1) ** (row + column) * np.linalg.det(minor)
    return found


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("size", "rank"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 4)])
def test_singular_determinants_have_gradients(size: int, rank: int, dtype: str) -> None:
    """The cofactors, and how they change. (PyTorch divides by what is 0 up to roundings: with some
    of them its gradient is 0.)
    """
    rng = np.random.default_rng(size + rank)

    def numbers(*shape: int) -> Any:
        found = rng.standard_normal(shape)
        return found + 1j * rng.standard_normal(shape) if dtype == "complex128" else found

    x, weights, scale = numbers(size, rank) @ numbers(rank, size), numbers(size, size), numbers()
    leaf = flambeau.tensor(x, requires_grad=True)
    determinant = flambeau.linalg.det(leaf)
    cotangent = flambeau.tensor(scale, dtype=leaf.dtype)
    (first,) = flambeau.autograd.grad(determinant, leaf, cotangent, create_graph=True)
    (second,) = flambeau.autograd.grad(first, leaf, flambeau.tensor(weights))
    wanted = scale * cofactors(x).conj()
    np.testing.assert_allclose(first.detach().resolve_conj().numpy(), wanted, atol=1e-10)
    step = 1e-5 * weights
    wanted = scale * ((cofactors(x + step) - cofactors(x - step)) / 2e-5).conj()
    np.testing.assert_allclose(second.resolve_conj().numpy(), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("size", "rank"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (4, 1), (4, 2), (4, 4)]
)
def test_third_gradients_of_singular_determinants(size: int, rank: int, dtype: str) -> None:
    rng = np.random.default_rng(size + rank)

    def numbers(*shape: int) -> Any:
        found = rng.standard_normal(shape)
        return found + 1j * rng.standard_normal(shape) if dtype == "complex128" else found

    leaf = flambeau.tensor(numbers(size, rank) @ numbers(rank, size), requires_grad=True)

    def slope(x: Any) -> Any:
        x = x if x.requires_grad else x.detach().requires_grad_()
        determinant = flambeau.linalg.det(x)
        given = flambeau.ones_like(determinant)
        return flambeau.autograd.grad(determinant, x, given, create_graph=True)[0]

    assert flambeau.autograd.gradcheck(slope, (leaf,))
    assert flambeau.autograd.gradgradcheck(slope, (leaf,))


@pytest.mark.parametrize("size", [5, 16, 20])
@pytest.mark.parametrize("graded", [False, True])
def test_third_gradients_of_determinants(size: int, graded: bool) -> None:
    rng = np.random.default_rng(size)
    numbers = rng.standard_normal((size, size))
    if graded:  # rows and columns of very different lengths
        numbers *= 10.0 ** -rng.uniform(0, 6, (size, 1)) * 10.0 ** -rng.uniform(0, 3, size)
    weights = rng.standard_normal((2, size, size))

    def third(t: Any) -> Any:
        x = t.tensor(numbers.tolist(), dtype=t.float64, requires_grad=True)
        (found,) = t.autograd.grad(t.linalg.det(x), x, create_graph=True)
        for one in weights:
            given = t.tensor(one.tolist(), dtype=t.float64)
            (found,) = t.autograd.grad(found, x, given, create_graph=True)
        return np.asarray(found.tolist())

    wanted = third(torch)
    np.testing.assert_allclose(third(flambeau), wanted, rtol=1e-6, atol=1e-9 * abs(wanted).max())


@pytest.mark.parametrize("name", ["eigvalsh", "eigvals"])
def test_equal_eigenvalues_have_gradients(name: str) -> None:
    for equal in ([1.0, 1.0, 1.0, 2.0], [0.0] * 4):
        leaf = flambeau.tensor(np.diag(equal), requires_grad=True)
        found = getattr(flambeau.linalg, name)(leaf)
        (found.real if found.is_complex() else found).sum().backward()  # the trace
        np.testing.assert_allclose(leaf.grad.numpy(), np.eye(4), atol=1e-12)


def test_results_have_names_and_lapack_strides() -> None:
    x = positive(4)
    cases: list[Case] = [
        lambda t, x: t.linalg.svd(x), lambda t, x: t.linalg.eigh(x), lambda t, x: t.linalg.qr(x),
        lambda t, x: t.linalg.lu_factor(x), lambda t, x: t.linalg.inv_ex(x),
        lambda t, x: t.linalg.slogdet(x), lambda t, x: t.linalg.cholesky_ex(x),
    ]  # fmt: skip
    for case in cases:
        ours, theirs = case(flambeau, flambeau.tensor(x.numpy())), case(torch, x)
        assert type(ours).__name__ == type(theirs).__name__.rpartition(".")[2]
        assert [p.stride() for p in ours] == [p.stride() for p in theirs]


ERRORS: list[tuple[Case, Any]] = [
    *[(lambda t, x, n=n: getattr(t.linalg, n)(x), x)
      for n in ("inv", "det", "slogdet", "eigh", "eig", "svd", "qr", "cholesky", "pinv", "lu",
                "matrix_exp", "matrix_rank", "eigvals", "inv_ex", "matrix_norm")
      for x in (draw(3), torch.eye(3).long())],
    *[(lambda t, x, n=n: getattr(t.linalg, n)(x), draw(2, 3))
      for n in ("inv", "det", "eigh", "eig", "cholesky", "matrix_exp")],
    *[(lambda t, x, n=n: getattr(t.linalg, n)(x), torch.zeros(2, 3, 3))
      for n in ("inv", "cholesky", "lu_factor")],
    (lambda t, x: t.linalg.inv(x), torch.zeros(3, 3)),
    (lambda t, x: t.linalg.solve(x, x), torch.zeros(3, 3)),
    (lambda t, x: t.linalg.solve(x, t.zeros(4)), torch.eye(3)),
    (lambda t, x: t.linalg.solve(x, t.zeros(3).double()), torch.eye(3)),
    (lambda t, x: t.linalg.solve_triangular(x, t.zeros(3), upper=True), torch.eye(3)),
    (lambda t, x: t.linalg.qr(x, "bad"), torch.eye(3)),
    (lambda t, x: t.linalg.eigh(x, UPLO="X"), torch.eye(3)),
    (lambda t, x: t.linalg.norm(x, "bad"), torch.eye(3)),
    (lambda t, x: t.linalg.cond(x, "bad"), torch.eye(3)),
    (lambda t, x: t.linalg.matrix_power(x, 1.5), torch.eye(3)),
    (lambda t, x: t.renorm(x, -1, 0, 1), torch.eye(3)),
    (lambda t, x: t.cov(x > 0), torch.eye(3)),
    (lambda t, x: t.symeig(x), torch.eye(3)),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors(place: int) -> None:
    check_error(*ERRORS[place])


def test_a_failure_leaves_other_results_alone() -> None:
    x = flambeau.ones(3)
    y = x + 1
    with pytest.raises(flambeau.linalg.LinAlgError):
        flambeau.linalg.cholesky(flambeau.zeros(3, 3))
    assert y.tolist() == [2.0] * 3


SINGULAR_SYSTEMS = ([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("matrix", SINGULAR_SYSTEMS)
def test_solve_ex_of_a_singular_matrix_has_gradients(matrix: list[list[float]]) -> None:
    """None is finite, and nothing is refused; `solve` refuses forwards."""
    found = []
    for library in (torch, flambeau):
        a = library.tensor(matrix, dtype=library.float64, requires_grad=True)
        b = library.tensor([[1.0], [2.0]], dtype=library.float64, requires_grad=True)
        solved, info = library.linalg.solve_ex(a, b)
        gradients = library.autograd.grad(solved.sum(), [a, b])
        assert not any(bool(library.isfinite(g).any()) for g in gradients)
        found.append((info.item(), str(info.dtype).split(".")[-1], solved.tolist()))
        with pytest.raises(library.linalg.LinAlgError, match="singular"):
            library.linalg.solve(a, b)
    assert repr(found[0]) == repr(found[1])


def test_solve_ex_has_the_gradients_of_solve() -> None:
    for left in (True, False):
        flambeau.manual_seed(0)
        a = flambeau.randn(2, 3, 3, dtype=flambeau.float64, requires_grad=True)
        b = flambeau.randn(2, 3, 3, dtype=flambeau.float64, requires_grad=True)

        def solved(a: Any, b: Any, left: bool = left) -> Any:
            return flambeau.linalg.solve_ex(a, b, left=left)[0]

        assert flambeau.autograd.gradcheck(solved, (a, b))
        assert flambeau.autograd.gradgradcheck(solved, (a, b))
