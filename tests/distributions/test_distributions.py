"""The distributions beside PyTorch's: values drawn, densities, moments, gradients, divergences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, given, same

import flambeau

pytestmark = pytest.mark.parity

A = torch.tensor([0.4, 1.3, 3.7])
B = torch.tensor([2.1, 0.6, 1.9])
P = torch.tensor([0.2, 0.55, 0.9])
ROWS = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
LOGITS = torch.tensor([[0.3, -1.0, 0.7], [0.0, 0.1, -0.4]])

# name, arguments, keyword arguments
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Normal", (A, B), {}),
    ("Normal", (0.5, 2.0), {}),
    ("LogNormal", (A, P), {}),
    ("Laplace", (A, B), {}),
    ("Cauchy", (A, B), {}),
    ("Uniform", (-A, B), {}),
    ("Exponential", (A,), {}),
    ("HalfNormal", (A,), {}),
    ("HalfCauchy", (A,), {}),
    ("Gumbel", (A, B), {}),
    ("Pareto", (A, B), {}),
    ("Weibull", (A, B), {}),
    ("Kumaraswamy", (A, B), {}),
    ("VonMises", (A, B), {}),
    ("Gamma", (A, B), {}),
    ("Gamma", (torch.tensor([0.1, 20.0, 400.0]), 1.0), {}),
    ("InverseGamma", (A + 2, B), {}),
    ("Chi2", (A,), {}),
    ("StudentT", (A, B, P), {}),
    ("StudentT", (4.0,), {}),
    ("FisherSnedecor", (A, B + 3), {}),
    ("Beta", (A, B), {}),
    ("Dirichlet", (ROWS * 4,), {}),
    ("Bernoulli", (P,), {}),
    ("Bernoulli", (), {"logits": A}),
    ("ContinuousBernoulli", (P,), {}),
    ("Geometric", (P,), {}),
    ("Poisson", (A * 5,), {}),
    ("Binomial", (10, P), {}),
    ("Binomial", (100, P), {}),
    ("Binomial", (4,), {"logits": A}),
    ("NegativeBinomial", (5.0, P), {}),
    ("Categorical", (ROWS,), {}),
    ("Categorical", (), {"logits": LOGITS}),
    ("OneHotCategorical", (ROWS,), {}),
    ("Multinomial", (6, ROWS), {}),
    ("RelaxedBernoulli", (torch.tensor(0.7), P), {}),
    ("RelaxedOneHotCategorical", (torch.tensor(0.7), ROWS), {}),
    ("LogisticNormal", (A, B), {}),
]


# These need the incomplete gamma function.
NO_CDF = {"Gamma", "InverseGamma", "Chi2"}


def _make(library: Any, case: tuple[str, tuple[Any, ...], dict[str, Any]]) -> Any:
    name, arguments, options = case
    distribution = getattr(library.distributions, name)
    return distribution(*given(library, arguments), **given(library, options))


def _try(function: Any) -> Any:
    try:
        return function()
    except NotImplementedError:
        return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_draws_densities_and_moments(case: Any) -> None:
    made = []
    for library in LIBRARIES:
        library.manual_seed(7)
        one = _make(library, case)
        drawn = one.sample((5,))
        after = library.rand(2)  # the stream goes on from the same place
        made.append((one, drawn, after))
    (mine, drawn, after), (other, their_drawn, their_after) = made
    same(drawn, their_drawn, rtol=2e-5, atol=1e-6)
    same(after, their_after)
    same(
        mine.log_prob(given(flambeau, their_drawn)),
        other.log_prob(their_drawn),
        rtol=2e-4,
        atol=2e-4,
    )
    assert repr(mine).split("(")[0] == repr(other).split("(")[0]
    assert tuple(mine.batch_shape) == tuple(other.batch_shape)
    assert tuple(mine.event_shape) == tuple(other.event_shape)
    assert mine.has_rsample == other.has_rsample
    for name in ("mean", "variance", "stddev", "mode"):
        theirs = _try(lambda name=name: getattr(other, name))
        if theirs is not None:
            same(getattr(mine, name), theirs, rtol=2e-4, atol=2e-5)
    entropy = _try(other.entropy)
    if entropy is not None and case[0] != "Poisson":
        own = _try(mine.entropy)
        if own is not None:
            same(own, entropy, rtol=2e-4, atol=2e-4)
    for name in ("cdf", "icdf"):
        point = torch.rand(5, 3) * 0.8 + 0.1 if name == "icdf" else their_drawn
        theirs = _try(lambda name=name, point=point: getattr(other, name)(point))
        if theirs is not None and case[0] not in NO_CDF:
            same(getattr(mine, name)(given(flambeau, point)), theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_expand_and_validation(case: Any) -> None:
    shapes = []
    for library in LIBRARIES:
        one = _make(library, case)
        wide = one.expand((2, *one.batch_shape))
        value = wide.sample((4,))
        assert tuple(value.shape) == (4, 2, *one.batch_shape, *one.event_shape)
        shapes.append(tuple(wide.log_prob(value).shape))
        with pytest.raises((ValueError, TypeError)):
            one.log_prob("nothing")
    assert shapes[0] == shapes[1]


REPARAMETERISED = [case for case in CASES if case[1] and any(
    isinstance(a, torch.Tensor) for a in case[1]) and case[0] not in (
    "VonMises", "Bernoulli", "Geometric", "Poisson", "Binomial", "NegativeBinomial",
    "Categorical", "OneHotCategorical", "Multinomial")]  # fmt: skip
# PyTorch approximates the implicit gradients of these by rational functions.
APPROXIMATE = {"Gamma", "InverseGamma", "Chi2", "StudentT", "FisherSnedecor", "Beta", "Dirichlet"}


@pytest.mark.parametrize("case", REPARAMETERISED, ids=lambda case: case[0])
def test_gradients_of_rsample_and_log_prob(case: Any) -> None:
    gradients = []
    for library in LIBRARIES:
        name, arguments, options = case
        leaves = [
            a.requires_grad_() if hasattr(a, "shape") else a for a in given(library, arguments)
        ]
        library.manual_seed(3)
        one = getattr(library.distributions, name)(*leaves, **options)
        drawn = one.rsample((4,))
        loss = (drawn.clamp(max=50.0) * 0.3).tanh().sum() + one.log_prob(drawn.detach()).sum()
        loss.backward()
        gradients.append([array(leaf.grad) for leaf in leaves if hasattr(leaf, "shape")])
    tolerance = 5e-3 if case[0] in APPROXIMATE else 5e-4
    for mine, other in zip(*gradients):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


KL = [
    ("Normal", (A, B), "Normal", (B, A)),
    ("LogNormal", (A, B), "LogNormal", (B, A)),
    ("HalfNormal", (A,), "HalfNormal", (B,)),
    ("Bernoulli", (P,), "Bernoulli", (1 - P,)),
    ("Categorical", (ROWS,), "Categorical", (ROWS.flip(0),)),
    ("OneHotCategorical", (ROWS,), "OneHotCategorical", (ROWS.flip(0),)),
    ("Binomial", (5, P), "Binomial", (5, 1 - P)),
    ("Geometric", (P,), "Geometric", (1 - P,)),
    ("Poisson", (A,), "Poisson", (B,)),
    ("Beta", (A, B), "Beta", (B, A)),
    ("Dirichlet", (ROWS * 3,), "Dirichlet", (ROWS.flip(0) * 2,)),
    ("Gamma", (A, B), "Gamma", (B, A)),
    ("Chi2", (A,), "Gamma", (B, A)),
    ("Exponential", (A,), "Exponential", (B,)),
    ("Exponential", (A,), "Gamma", (B, A)),
    ("Gamma", (A, B), "Exponential", (A,)),
    ("Laplace", (A, B), "Laplace", (B, A)),
    ("Cauchy", (A, B), "Cauchy", (B, A)),
    ("Gumbel", (A, B), "Gumbel", (B, A)),
    ("Pareto", (A, B), "Pareto", (A * 0.5, A)),
    ("Uniform", (-P, P), "Uniform", (-A - 1, B + 1)),
    ("Uniform", (-P, P), "Normal", (A, B)),
]


@pytest.mark.parametrize("case", KL, ids=lambda case: f"{case[0]}-{case[2]}")
def test_kl_divergence(case: Any) -> None:
    p, first, q, second = case
    results = [
        library.distributions.kl_divergence(
            _make(library, (p, first, {})), _make(library, (q, second, {}))
        )
        for library in LIBRARIES
    ]
    same(*results, rtol=2e-4, atol=1e-4)


def test_independent_and_mixture() -> None:
    rows = []
    for library in LIBRARIES:
        d = library.distributions
        library.manual_seed(5)
        normal = d.Independent(d.Normal(given(library, ROWS), given(library, ROWS + 1)), 1)
        mixture = d.MixtureSameFamily(
            d.Categorical(given(library, P)), d.Normal(given(library, A), given(library, B))
        )
        vectors = d.MixtureSameFamily(d.Categorical(given(library, P[:2])), normal)
        parts: list[Any] = [normal.sample((2,)), normal.entropy(), mixture.sample((6,))]
        parts += [mixture.mean, mixture.variance, vectors.mean, vectors.sample((2, 3))]
        parts += [mixture.log_prob(given(library, A)), mixture.cdf(given(library, A))]
        parts += [vectors.log_prob(given(library, ROWS[0]))]
        rows.append(parts)
    same(*rows, rtol=1e-4, atol=1e-5)


TRANSFORMS: list[tuple[str, tuple[Any, ...]]] = [
    ("ExpTransform", ()),
    ("SigmoidTransform", ()),
    ("TanhTransform", ()),
    ("SoftplusTransform", ()),
    ("AffineTransform", (0.3, -2.0)),
    ("AffineTransform", (A, B, 1)),
    ("PowerTransform", (torch.tensor(2.5),)),
    ("SoftmaxTransform", ()),
    ("StickBreakingTransform", ()),
    ("ReshapeTransform", ((3,), (3, 1))),
    ("LowerCholeskyTransform", ()),
]


@pytest.mark.parametrize("case", TRANSFORMS, ids=lambda case: case[0])
def test_transforms(case: Any) -> None:
    name, arguments = case
    shape = (2, 3, 3) if name == "LowerCholeskyTransform" else (2, 3)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    start = start.abs() if name == "PowerTransform" else start
    rows = []
    for library in LIBRARIES:
        transform = getattr(library.distributions, name)(*given(library, arguments))
        x = given(library, start)
        y = transform(x)
        parts = [y, transform.inv(y)]
        change = _try(lambda t=transform, x=x, y=y: t.log_abs_det_jacobian(x, y))
        rows.append(
            (
                parts,
                change,
                transform.domain.event_dim,
                transform.codomain.event_dim,
                transform.bijective,
            )
        )
    same(rows[0][0], rows[1][0], rtol=1e-4, atol=1e-5)
    if rows[1][1] is not None:
        same(rows[0][1], rows[1][1], rtol=1e-4, atol=1e-5)
    assert rows[0][2:] == rows[1][2:]


def test_composition() -> None:
    rows = []
    for library in LIBRARIES:
        d = library.distributions
        chain = d.ComposeTransform([d.AffineTransform(0.1, 2.0), d.StickBreakingTransform()])
        flow = d.TransformedDistribution(
            d.Normal(given(library, A), 1.0), [d.TanhTransform(), d.AffineTransform(1.0, -2.0)]
        )
        library.manual_seed(0)
        y = flow.rsample((2,))
        x = given(library, A)
        z = chain(x)
        rows.append([z, chain.inv(z), chain.log_abs_det_jacobian(x, z), y, flow.log_prob(y)])
    same(*rows, rtol=1e-3, atol=1e-4)


MISTAKES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Normal", (A, -B), {}),
    ("Normal", ("a", 1.0), {}),
    ("Bernoulli", (P + 1,), {}),
    ("Bernoulli", (), {}),
    ("Bernoulli", (P, P), {}),
    ("Categorical", (torch.tensor(0.3),), {}),
    ("Categorical", (torch.tensor([-0.2, 0.5]),), {}),
    ("Uniform", (A, -B), {}),
    ("Dirichlet", (torch.tensor(0.3),), {}),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0])
def test_mistakes(case: Any) -> None:
    messages = []
    for library in LIBRARIES:
        with pytest.raises(ValueError) as raised:
            _make(library, case)
        messages.append(str(raised.value).splitlines()[0])
    assert messages[0] == messages[1]


def test_user_defined_distribution_and_kl() -> None:
    d = flambeau.distributions

    class Point(d.Normal):  # type: ignore[misc]
        pass

    @d.register_kl(Point, Point)
    def _point(p: Any, q: Any) -> Any:
        return p.loc * 0 + 42

    assert d.kl_divergence(Point(0.0, 1.0), Point(0.0, 1.0)).item() == 42
    assert d.kl_divergence(Point(0.0, 1.0), d.Normal(0.0, 1.0)).item() == 0
    with pytest.raises(NotImplementedError, match="No KL"):
        d.kl_divergence(d.Normal(0.0, 1.0), d.Poisson(1.0))


@pytest.mark.parity
@pytest.mark.parametrize("name", ["Gamma", "InverseGamma", "Chi2"])
def test_cumulative_functions_of_gamma_kinds(name: str) -> None:
    torch = pytest.importorskip("torch")
    for first in (1e-3, 0.5, 1.0, 30.0):
        rest = (2.0,) if name != "Chi2" else ()
        values = [0.0, 0.1, 1.0, 5.0, 1e10]
        found = []
        for library in (flambeau, torch):
            kind = getattr(library.distributions, name)
            made = kind(*[library.tensor(v) for v in (first, *rest)])
            found.append(
                [made.cdf(library.tensor(v)).item() for v in values if v or name == "Gamma"]
            )
        np.testing.assert_allclose(found[0], found[1], rtol=2e-5, atol=1e-7)


@pytest.mark.parity
def test_kumaraswamy_is_not_checked_where_it_is_told_not_to() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (flambeau, torch):
        kind = library.distributions.Kumaraswamy(
            library.tensor(1.0), library.tensor(1.0), validate_args=False
        )
        found.append([kind.log_prob(library.tensor(v)).item() for v in (-1.0, 0.5, 2.0)])
    assert found[0] == found[1]


def test_of_several_wrong_parameters_the_first_is_named() -> None:
    for library in (flambeau, torch):
        with pytest.raises(ValueError, match="Expected parameter loc"):
            library.distributions.Normal(library.tensor([float("nan")]), library.tensor([-1.0]))
        with pytest.raises(ValueError, match="Expected parameter scale"):
            library.distributions.Normal(library.tensor([0.0]), library.tensor([-1.0]))


def test_a_mixture_looks_at_its_values() -> None:
    for library in (flambeau, torch):
        D = library.distributions
        weights = D.Categorical(library.tensor([0.25, 0.75]))
        parts = D.Exponential(library.tensor([1.0, 2.0]))
        for validate in (True, False):  # the components look themselves where the mixture does not
            mixture = D.MixtureSameFamily(weights, parts, validate_args=validate)
            assert mixture.log_prob(library.tensor([0.5, 1.5])).shape == (2,)
            with pytest.raises(ValueError, match="within the support"):
                mixture.log_prob(library.tensor([0.5, -1.5]))
