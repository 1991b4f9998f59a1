"""From constraints to transforms: what maps the real numbers into a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.distributions import constraints, transforms
from flambeau.distributions.correlation import CorrCholeskyTransform

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = Callable[[Any], transforms.Transform]


class ConstraintRegistry:
    """A table of transforms by the class of the constraint."""

    def __init__(self) -> None:
        self._registry: dict[type, Factory] = {}

    def enter(self, *kinds: Any) -> Callable[[Factory], Factory]:
        """Decorates a factory of transforms for the classes of constraints."""

        def entered(factory: Factory) -> Factory:
            for kind in kinds:
                self.register(kind, factory)
            return factory

        return entered

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Enters a factory of transforms for a constraint's class; a decorator without one.

        TypeError for what is no constraint.
        """
        if factory is None:
            return self.enter(constraint)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not (isinstance(kind, type) and issubclass(kind, constraints.Constraint)):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{kind}"
            )
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> transforms.Transform:
        """The transform into a set. NotImplementedError where none was entered."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints"
            ) from None
        return factory(constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _both(*kinds: Any) -> Callable[[Factory], Factory]:
    return lambda factory: biject_to.enter(*kinds)(transform_to.enter(*kinds)(factory))


@_both(constraints.real)
def _real(constraint: Any) -> transforms.Transform:
    return transforms.identity_transform


@_both(constraints.positive, constraints.nonnegative)
def _above(constraint: Any) -> transforms.Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)]
    )


@_both(constraints.less_than)
def _below(constraint: Any) -> transforms.Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)]
    )


@_both(constraints.interval, constraints.half_open_interval)
def _between(constraint: Any) -> transforms.Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform(
        [transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)]
    )


@_both(constraints.corr_cholesky)
def _correlation(constraint: Any) -> transforms.Transform:
    return CorrCholeskyTransform()


@biject_to.enter(constraints.simplex)
def _sticks(constraint: Any) -> transforms.Transform:
    return transforms.StickBreakingTransform()


@transform_to.enter(constraints.simplex)
def _softmax(constraint: Any) -> transforms.Transform:
    return transforms.SoftmaxTransform()


@transform_to.enter(constraints.lower_cholesky)
def _cholesky(constraint: Any) -> transforms.Transform:
    return transforms.LowerCholeskyTransform()


@transform_to.enter(constraints.positive_definite, constraints.positive_semidefinite)
def _definite(constraint: Any) -> transforms.Transform:
    return transforms.PositiveDefiniteTransform()


def _of_parts(registry: ConstraintRegistry) -> None:
    """Sets of sets: the transform of the transforms."""

    @registry.enter(constraints.independent)
    def independent(constraint: Any) -> transforms.Transform:
        inner = registry(constraint.base_constraint)
        return transforms.IndependentTransform(inner, constraint.reinterpreted_batch_ndims)

    @registry.enter(constraints.cat)
    def cat(constraint: Any) -> transforms.Transform:
        parts = [registry(part) for part in constraint.cseq]
        return transforms.CatTransform(parts, constraint.dim, constraint.lengths)

    @registry.enter(constraints.stack)
    def stack(constraint: Any) -> transforms.Transform:
        return transforms.StackTransform([registry(p) for p in constraint.cseq], constraint.dim)


_of_parts(biject_to)
_of_parts(transform_to)
