"""What is no tensor is told so by name: a list, say, where a tensor was meant."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

NAMES = "zeros_like ones_like empty_like full_like rand_like randn_like randint_like".split()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", [None, [1.0, 2.0], 3])
def test_words(name: str, given: Any) -> None:
    more = (3,) if name in ("full_like", "randint_like") else ()
    kind = type(given).__name__
    with pytest.raises(TypeError) as raised:
        getattr(flambeau, name)(given, *more)
    words = f"{name}(): argument 'input' (position 1) must be Tensor, not {kind}"
    if name == "randint_like":  # which has several forms
        words = f"{name}() received an invalid combination of arguments - got ({kind}, int), but "
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize("given", [None, [1.0, 2.0]])
def test_weights_that_are_none(given: Any) -> None:
    x, kind = flambeau.ones(2, 3), type(given).__name__
    linear = flambeau.nn.functional.linear
    with pytest.raises(TypeError, match=rf"'weight' \(position 2\) must be Tensor, not {kind}"):
        linear(x, given)
    with pytest.raises(TypeError, match=r"'bias' \(position 3\) must be Tensor, not int"):
        linear(x, flambeau.ones(2, 3), 1)
