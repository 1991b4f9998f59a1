"""Distributions over vectors and matrices, and the registries of transforms, beside PyTorch's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, given, same

import flambeau

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

RNG = np.random.default_rng(5)


def _tensor(*shape: int) -> Any:
    return torch.tensor(RNG.standard_normal(shape))


def _definite(*shape: int) -> Any:
    root = _tensor(*shape)
    return root @ root.mT + torch.eye(shape[-1], dtype=root.dtype)


COV, LOC, TRIL = _definite(3, 3), _tensor(3), torch.linalg.cholesky(_definite(2, 3, 3))
WIDE, THIN, DIAGONAL = _tensor(4, 1, 3), _tensor(3, 2), _tensor(3).exp()

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("MultivariateNormal", (LOC, COV), {}),
    ("MultivariateNormal", (WIDE,), {"scale_tril": TRIL}),
    ("MultivariateNormal", (LOC,), {"precision_matrix": COV}),
    ("LowRankMultivariateNormal", (LOC, THIN, DIAGONAL), {}),
    ("LowRankMultivariateNormal", (WIDE, THIN, DIAGONAL), {}),
    ("Wishart", (torch.tensor(5.5, dtype=torch.float64), COV), {}),
    ("Wishart", (torch.tensor([4.0, 7.0]).double(),), {"scale_tril": TRIL}),
    ("LKJCholesky", (3, 1.5), {}),
    ("LKJCholesky", (4, torch.tensor([0.5, 3.0])), {}),
    ("GeneralizedPareto", (0.5, 2.0, 0.3), {}),
    ("GeneralizedPareto", (LOC.float(), DIAGONAL.float(), torch.tensor([0.0, -0.4, 0.7])), {}),
]  # fmt: skip
NAMES = """mean mode variance stddev covariance_matrix precision_matrix scale_tril batch_shape
event_shape support has_rsample""".split()


def _made(library: Any, case: Any) -> Any:
    name, arguments, options = case
    return getattr(library.distributions, name)(
        *given(library, arguments), **given(library, options)
    )


def _told(function: Callable[[], Any]) -> Any:
    try:
        value = function()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_draws_densities_and_moments(case: Any) -> None:
    found: list[dict[str, Any]] = []
    draws: Any = None
    for library in reversed(LIBRARIES):
        library.manual_seed(4)
        one = _made(library, case)
        told: dict[str, Any] = {"sample": one.sample((5,)), "after": library.rand(2)}
        draws = told["sample"] if draws is None else draws
        told["log_prob"] = one.log_prob(given(library, draws))
        told["expanded"] = one.expand((3, *one.batch_shape)).log_prob(
            given(library, draws).unsqueeze(1)
        )
        told["entropy"] = _told(one.entropy)
        told["repr"] = repr(one).split("(")[0]
        for name in NAMES:
            told[name] = _told(lambda one=one, name=name: getattr(one, name, None))
        if case[0] == "GeneralizedPareto":
            told["cdf"] = one.cdf(given(library, draws))
            told["icdf"] = one.icdf(library.tensor(0.3))
        found.append(told)
    theirs, ours = found
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor):
            same(ours[name], value, rtol=1e-5, atol=1e-6)
        else:
            own, other = (re.sub(r"'\S*\.", "'", str(v)) for v in (ours[name], value))
            assert own == other, name


@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "LKJCholesky" and (
    isinstance(c[1][0], torch.Tensor))], ids=lambda case: case[0])  # fmt: skip
def test_gradients(case: Any) -> None:
    gradients = []
    for library in LIBRARIES:
        name, arguments, options = case
        leaves = [a.requires_grad_() for a in given(library, arguments)]
        named = {k: v.requires_grad_() for k, v in given(library, options).items()}
        library.manual_seed(3)
        one = getattr(library.distributions, name)(*leaves, **named)
        drawn = one.rsample((4,))
        loss = one.log_prob(drawn.detach()).sum()
        if name != "Wishart":  # PyTorch fails on the way back through these draws
            loss = loss + (drawn * 0.1).tanh().sum()
        loss.backward()
        gradients.append([array(leaf.grad) for leaf in (*leaves, *named.values())])
    for mine, other in zip(*gradients, strict=True):
        tolerance = 1e-5
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


def test_kl_of_normals() -> None:
    normals = [case for case in CASES if "Normal" in case[0]]
    for p in normals:
        for q in normals[:4]:
            same(
                *[
                    lib.distributions.kl_divergence(_made(lib, p), _made(lib, q))
                    for lib in LIBRARIES
                ],
                rtol=1e-7,
            )


MISTAKES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("MultivariateNormal", (LOC,), {}),
    ("MultivariateNormal", (LOC, COV, COV), {}),
    ("MultivariateNormal", (LOC[0], COV), {}),
    ("MultivariateNormal", (LOC, LOC), {}),
    ("MultivariateNormal", (LOC,), {"scale_tril": LOC}),
    ("MultivariateNormal", (LOC, -COV), {}),
    ("LowRankMultivariateNormal", (LOC[0], THIN, DIAGONAL), {}),
    ("LowRankMultivariateNormal", (LOC, LOC, DIAGONAL), {}),
    ("LowRankMultivariateNormal", (LOC, THIN[:2], DIAGONAL), {}),
    ("LowRankMultivariateNormal", (LOC, THIN, DIAGONAL[:2]), {}),
    ("Wishart", (2.0, COV), {}),
    ("Wishart", (torch.tensor(4.0),), {}),
    ("LKJCholesky", (1,), {}),
    ("GeneralizedPareto", (0.0, -1.0, 0.5), {}),
]  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0])
def test_mistakes(case: Any) -> None:
    ours, theirs = (_told(lambda lib=lib: _made(lib, case)) for lib in LIBRARIES)
    assert isinstance(theirs, str) and ours == theirs


SETS: dict[str, Callable[[Any], Any]] = {
    "real": lambda c: c.real, "positive": lambda c: c.positive,
    "nonnegative": lambda c: c.nonnegative, "unit": lambda c: c.unit_interval,
    "interval": lambda c: c.interval(1.0, 3.0), "above": lambda c: c.greater_than(2.0),
    "from": lambda c: c.greater_than_eq(2.0), "below": lambda c: c.less_than(1.0),
    "half open": lambda c: c.half_open_interval(0.0, 2.0), "simplex": lambda c: c.simplex,
    "cholesky": lambda c: c.lower_cholesky, "definite": lambda c: c.positive_definite,
    "semidefinite": lambda c: c.positive_semidefinite, "vector": lambda c: c.real_vector,
    "independent": lambda c: c.independent(c.positive, 1), "boolean": lambda c: c.boolean,
    "correlation": lambda c: c.corr_cholesky, "symmetric": lambda c: c.symmetric,
    "cat": lambda c: c.cat([c.real, c.positive], -1, [1, 2]), "dependent": lambda c: c.dependent,
    "stack": lambda c: c.stack([c.real, c.positive, c.unit_interval], -1),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_transforms_of_sets(registry: str, name: str) -> None:
    matrix = name in ("cholesky", "definite", "semidefinite")
    x = _tensor(4, 3, 3) if matrix else _tensor(4, 3)
    found = []
    for library in LIBRARIES:
        d = library.distributions
        transform = _told(lambda d=d: getattr(d, registry)(SETS[name](d.constraints)))
        if isinstance(transform, str):
            found.append([transform])
            continue
        y = transform(given(library, x))
        told = [repr(transform), y, transform.inv(y), bool(transform.codomain.check(y).all())]
        if transform.bijective:
            told.append(transform.log_abs_det_jacobian(given(library, x), y))
        told += (
            [tuple(transform.forward_shape((5, 3))), transform.domain.event_dim]
            if not matrix
            else []
        )
        found.append(told)
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, torch.Tensor):
            same(ours, theirs, rtol=1e-6, atol=1e-8)
        else:
            assert ours == theirs


def test_registering() -> None:
    d = flambeau.distributions
    registry = d.constraint_registry.ConstraintRegistry()

    @registry.register(d.constraints.positive)
    def squared(constraint: Any) -> Any:
        return d.transforms.PowerTransform(2.0)

    assert isinstance(registry(d.constraints.greater_than(1.0)), d.transforms.PowerTransform)
    with pytest.raises(TypeError, match="Expected constraint to be either"):
        registry.register(3, squared)
