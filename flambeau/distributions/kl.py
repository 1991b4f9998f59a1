"""Kullback-Leibler divergences, by the types of the two distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.distributions._torch import F, Tensor, where
from flambeau.distributions.categorical import Categorical, OneHotCategorical
from flambeau.distributions.continuous import Cauchy, Exponential, Laplace, Normal, Uniform
from flambeau.distributions.discrete import (
    Bernoulli,
    Binomial,
    Geometric,
    Poisson,
)
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.gammas import Beta, Dirichlet, Gamma
from flambeau.distributions.independent import Independent
from flambeau.distributions.parameters import euler_constant, sum_rightmost
from flambeau.distributions.transformed import Gumbel, HalfNormal, LogNormal, Pareto

Rule = TypeVar("Rule", bound=Callable[..., Any])
_RULES: dict[tuple[type, type], Callable[..., Any]] = {}
_KNOWN: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Decorates the divergence of a type from another. TypeError for other than distributions."""
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorator(function: Rule) -> Rule:
        _RULES[type_p, type_q] = function
        _KNOWN.clear()
        return function

    return decorator


def _rule(type_p: type, type_q: type) -> Any:
    """The rule of the nearest pair of base classes, those of p counting first; None without one."""
    found = [
        (type_p.__mro__.index(p), type_q.__mro__.index(q), rule)
        for (p, q), rule in _RULES.items()
        if issubclass(type_p, p) and issubclass(type_q, q)
    ]
    return min(found, key=lambda entry: entry[:2])[2] if found else None


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), of the batch shape. NotImplementedError for a pair without a rule."""
    key = (type(p), type(q))
    if key not in _KNOWN:
        _KNOWN[key] = _rule(*key)
    rule = _KNOWN[key]
    if rule is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} and q type "
            f"{key[1].__name__}"
        )
    return rule(p, q)  # type: ignore[no-any-return]


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
def _log_normal(p: LogNormal, q: LogNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    hit = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    miss = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    hit = where(p.probs == 0, hit * 0, where(q.probs == 0, p.probs * 0 + math.inf, hit))
    one = p.probs == 1
    return hit + where(one, miss * 0, where(q.probs == 1, p.probs * 0 + math.inf, miss))


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = where(q.probs == 0, terms * 0 + math.inf, terms)
    return where(p.probs == 0, p.probs * 0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    terms = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    known = p.total_count * terms
    return where(p.total_count > q.total_count, known * 0 + math.inf, known)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    top = c.lgamma() + d.lgamma() + (a + b).lgamma()
    bottom = a.lgamma() + b.lgamma() + (c + d).lgamma()
    change = (a - c) * a.digamma() + (b - d) * b.digamma()
    return top - bottom + change + (c + d - a - b) * (a + b).digamma()


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norms = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return norms + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    first = b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma()
    return first + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio = q.rate / p.rate
    b = q.concentration
    return -b * ratio.log() + ratio + b.lgamma() + b * euler_constant - (1 + euler_constant)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    top = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return top - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    first, second = q.loc / q.scale, p.loc / q.scale
    spread = ratio * euler_constant + (first + (1 + ratio).lgamma() - second).exp()
    return -ratio.log() - first + second + spread - (1 + euler_constant)


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    shift, ratio = p.scale / q.scale, q.alpha / p.alpha
    known = q.alpha * shift.log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, known * 0 + math.inf, known)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    known = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), known * 0 + math.inf, known)


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    middle = (p.high + p.low - 2 * q.loc) / 2
    square = (width.pow(2) / 12 + middle.pow(2)) / (2 * q.scale.pow(2))
    return (math.sqrt(math.pi * 2) * q.scale / width).log() + square


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
