"""v2: transforms made of transforms, and of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.vision._torch import multinomial, tensor
from flambeau.vision.transforms import draws
from flambeau.vision.transforms.v2.transform import Transform


def _check(transforms: Any) -> None:
    if not isinstance(transforms, Sequence) and not hasattr(transforms, "_modules"):
        raise TypeError("Argument transforms should be a sequence of callables")
    if not len(transforms):
        raise ValueError("Pass at least one transform")


def _in_turn(transforms: Any, inputs: tuple[Any, ...]) -> Any:
    several = len(inputs) > 1
    for transform in transforms:
        outputs = transform(*inputs)
        inputs = outputs if several else (outputs,)
    return inputs if several else inputs[0]


class Compose(Transform):
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        _check(transforms)
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return _in_turn(self.transforms, inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"    {each}" for each in self.transforms)


class RandomApply(Transform):
    """All the transforms, with probability `p`."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        _check(transforms)
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.transforms = transforms
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        return _in_turn(self.transforms if draws.happens(self.p) else (), inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"    {each}" for each in self.transforms)


class RandomChoice(Transform):
    """One of the transforms, with weights `p`."""

    def __init__(self, transforms: Sequence[Any], p: list[float] | None = None) -> None:
        _check(transforms)
        if p is None:
            p = [1.0] * len(transforms)
        elif len(p) != len(transforms):
            raise ValueError(
                f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}"
            )
        super().__init__()
        self.transforms = transforms
        self.p = [each / sum(p) for each in p]

    def forward(self, *inputs: Any) -> Any:
        return self.transforms[int(multinomial(tensor(self.p), 1))](*inputs)


class RandomOrder(Transform):
    """All the transforms, shuffled."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        _check(transforms)
        super().__init__()
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        order = draws.order(len(self.transforms))
        return _in_turn([self.transforms[place] for place in order], inputs)


class Identity(Transform):
    """The sample as it is."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


class Lambda(Transform):
    """A function of the user's for what is an instance of `types` (anything unless given)."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or (object,)

    def _chosen(self, leaves: list[Any]) -> list[bool]:
        return [isinstance(leaf, self.types) for leaf in leaves]

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.lambd(inpt)

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", None)
        kinds = f"types={[kind.__name__ for kind in self.types]}"
        return f"{name}, {kinds}" if name else kinds
