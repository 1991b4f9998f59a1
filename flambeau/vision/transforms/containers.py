"""Transforms made of transforms, and of functions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.vision._torch import Module
from flambeau.vision.transforms import draws


def _listed(head: str, transforms: Any) -> str:
    return "".join([head, *(f"\n    {each}" for each in transforms)])


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(", self.transforms) + "\n)"


class Lambda:
    """A function of the user's as a transform. TypeError if it is none."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RandomTransforms:
    """The base of those that choose from a list of transforms. TypeError if it is none."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(", self.transforms) + "\n)"


class RandomApply(Module):
    """All the transforms, with probability `p`."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if draws.spared(self.p):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(\n    p={self.p}", self.transforms) + "\n)"


class RandomOrder(RandomTransforms):
    """All the transforms, shuffled (by Python's generator)."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for place in order:
            img = self.transforms[place](img)
        return img


class RandomChoice(RandomTransforms):
    """One of the transforms, with weights `p` (by Python's generator)."""

    def __init__(self, transforms: Sequence[Any], p: Any = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
