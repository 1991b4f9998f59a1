"""torchmetrics as the reference; one metric in both libraries and what they give."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchmetrics")

import flambeau
import flambeau.metrics as ours
from tests.beside_torch import given, same

PAIRS = ((ours, flambeau), (theirs, torch))


def place(module: Any, name: str) -> Any:
    """`classification.BinaryAccuracy` of a library."""
    for part in name.split("."):
        module = getattr(module, part)
    return module


def outcome(call: Any) -> Any:
    """What a call returns, or its exception's type and first line; and its warnings' texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call()
        except Exception as error:
            value = f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    return value, [str(w.message) for w in caught]


def both(name: str, *args: Any, rtol: float | None = None, **kwargs: Any) -> Any:
    """A function of both libraries gives the same: values, errors, warnings."""
    results = []
    for module, library in PAIRS:
        function = place(module, name)
        results.append(outcome(lambda: function(*given(library, args), **given(library, kwargs))))
    (mine, my_warnings), (other, their_warnings) = results
    assert my_warnings == their_warnings
    same(mine, other, rtol=rtol)
    return mine


def stream(name: str, options: Any, batches: Any, rtol: float | None = None) -> list[Any]:
    """A metric of both libraries: values of batches, of all, after a reset; states."""
    results = []
    for module, library in PAIRS:
        metric = place(module, name)(**given(library, options))
        values: list[Any] = []
        values += [outcome(lambda b=batch: metric(*given(library, b))) for batch in batches]
        if not any(isinstance(value, str) for value, _ in values):  # theirs loses its states then
            values.append(outcome(metric.compute))
        metric.reset()
        for batch in batches:
            outcome(lambda b=batch: metric.update(*given(library, b)))
        values.append(outcome(metric.compute))
        values.append((metric.update_count, []))
        results.append((repr(metric), values))
    (mine, my_values), (other, their_values) = results
    assert mine == other
    for (value, said), (expected, expected_said) in zip(my_values, their_values):
        same(value, expected, rtol=rtol)
        assert set(said) == set(expected_said)
    return [value for value, _ in my_values]


def valued(name: str, *args: Any, **kwargs: Any) -> None:
    """`both`, and it is no error."""
    assert not isinstance(both(name, *args, **kwargs), str)


def streamed(*args: Any, **kwargs: Any) -> None:
    """`stream`, and there is no error."""
    assert not any(isinstance(value, str) for value in stream(*args, **kwargs))
