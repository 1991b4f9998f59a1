"""The forms of PyTorch's functions, and what is said of arguments that none of them takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.core import signatures
from flambeau.core.signatures import TYPE_WORDS, fault, parsed
from flambeau.tensor.overriding import plain

LINES = Path(signatures.__file__).with_suffix(".txt").read_text("utf-8").splitlines()


def test_every_form_can_be_read() -> None:
    for line in LINES:
        kind, _, text = line.partition(" ")
        name, other, _ = text.partition("(")[0].partition("=")
        form = parsed(text[len(name) + 1 :] if other else text)
        assert kind in ("f", "F", "m", "c")
        assert form in signatures.signatures(kind, name)
        assert all(one.kind in TYPE_WORDS for one in form.parameters), line


X = torch.ones(2)
CASES: list[tuple[str, str, tuple[Any, ...], dict[str, Any], str | None]] = [
    ("f", "abs", (X,), {}, None),
    ("f", "abs", (X,), {"out": 1}, "abs(): argument 'out' must be Tensor, not int"),
    ("m", "view", (1, 2), {}, None),
    ("m", "view", (2, None), {}, "view(): argument 'size' failed to unpack the object at pos 2 "),
    ("m", "permute", ("a", 1), {}, "permute() takes 1 positional argument but 2 were given"),
    ("f", "unsqueeze", (X, 1.5), {}, "unsqueeze(): argument 'dim' (position 2) must be int, not "),
    ("f", "unsqueeze", (X, True), {}, "unsqueeze(): argument 'dim' (position 2) must be int, not "),
    ("f", "unsqueeze", (X, torch.tensor(1)), {}, None),
    ("f", "unsqueeze", (X, 0), {"dim": 1}, "unsqueeze() got multiple values for argument 'dim'"),
    ("f", "flip", (X,), {"dims": (0,), "a": 1}, "flip() got an unexpected keyword argument 'a'"),
    ("f", "cat", ([X, 1],), {}, "expected Tensor as element 1 in argument 0, but got int"),
    ("f", "sum", (X,), {"axis": 0}, None),
    ("f", "no_such_function", (), {}, None),
]


@pytest.mark.parametrize(("kind", "name", "args", "kwargs", "words"), CASES)
def test_faults(
    kind: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], words: str | None
) -> None:
    found = fault(kind, name, args, kwargs)
    assert (found is None) if words is None else str(found).startswith(words)


def test_methods_have_code_of_their_own() -> None:
    method, function = plain(torch.Tensor.add), plain(torch.add)
    assert method is not function
    assert method.__code__ is not function.__code__
    assert method.__doc__ == function.__doc__


def test_forms_are_tried_in_order() -> None:
    """A form that takes a list of numbers comes before one that wants tensors in it: what is wrong
    with the call otherwise is told then.
    """
    points = torch.ones(4, 3)
    with pytest.raises(RuntimeError, match="size of bins must be equal to the innermost"):
        torch.histogramdd(points, [2, 3])
    with pytest.raises(TypeError, match="expected Tensor as element 0 in argument 1"):
        torch.histogramdd(points, [2.5, 3])


def test_what_goes_by_name_alone_was_given_by_name() -> None:
    """A frame does not tell how an argument was given; the mistake is another one here."""
    x = torch.ones(2, 3, 4)
    for call in (x.contiguous, x.clone, x.float, x.double):
        with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last"):
            call(memory_format=torch.channels_last)
