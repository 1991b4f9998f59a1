"""Data pipes: chains of methods, as PyTorch has them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.parity
pytest.importorskip("torch")


def pipes(module: str) -> Any:
    return importlib.import_module(f"{module}.utils.data")


def numbers(data: Any, count: int = 10) -> Any:
    return data.datapipes.iter.IterableWrapper(range(count))


def indexed(data: Any) -> Any:
    return data.datapipes.map.SequenceWrapper(list("abcdefg"))


def even(n: int) -> bool:
    return n % 2 == 0


def own(data: Any) -> Any:
    if "doubled" not in data.IterDataPipe.functions:

        @data.functional_datapipe("doubled")
        class Doubled(data.IterDataPipe):  # type: ignore[misc]
            def __init__(self, source: Any) -> None:
                self.source = source

            def __iter__(self) -> Any:
                for element in self.source:
                    yield element * 2

    return list(numbers(data).doubled().filter(lambda n: n > 6))


def anew(data: Any) -> Any:
    pipe = numbers(data)
    first = iter(pipe)
    next(first)
    assert list(pipe) == list(range(10))
    return next(first)


def forked(data: Any) -> Any:
    first, second = numbers(data).fork(2)
    return list(first), list(second), list(zip(first, second))


def columns(data: Any) -> Any:
    rows = data.datapipes.iter.IterableWrapper([(1, 2), (3, 4)])
    return [
        list(rows.map(lambda a: a * 10, input_col=1)),
        list(rows.map(lambda a, b: a + b, input_col=[0, 1], output_col=-1)),
        list(rows.map(lambda a, b: a + b, input_col=[0, 1])),
    ]


def loaded(data: Any) -> Any:
    loader = data.DataLoader(numbers(data).map(float).shuffle().set_shuffle(False), batch_size=4)
    return [batch.tolist() for batch in loader]


def guaranteed(data: Any) -> Any:
    @data.non_deterministic(lambda source, ordered: not ordered)
    class Loose(data.IterDataPipe):  # type: ignore[misc]
        def __init__(self, source: Any, ordered: bool) -> None:
            self.source = source

        def __iter__(self) -> Any:
            return iter(self.source)

    with data.guaranteed_datapipes_determinism():
        assert list(Loose([1], True)) == [1]
        Loose([1], False)


CASES: dict[str, Callable[[Any], Any]] = {
    "chain": lambda data: list(numbers(data).map(lambda n: n * n).filter(even).batch(2)),
    "lengths": lambda data: [len(numbers(data).batch(3, drop_last=last)) for last in (0, 1)],
    "batches": lambda data: [list(b) for b in numbers(data).batch(4, drop_last=True)],
    "unbatched": lambda data: list(numbers(data).batch(2).batch(2).unbatch(-1)),
    "zipped": lambda data: list(numbers(data).zip(numbers(data, 3))),
    "joined": lambda data: list(numbers(data, 2).concat(numbers(data, 3))),
    "muxed": lambda data: list(numbers(data, 3).mux(numbers(data, 2).map(str))),
    "forked": forked,
    "demuxed": lambda data: [list(p) for p in numbers(data).demux(2, lambda n: n % 2)],
    "grouped": lambda data: [list(g) for g in numbers(data).groupby(lambda n: n % 3)],
    "groups of two": lambda data: [
        list(g) for g in numbers(data).groupby(lambda n: n % 3, group_size=2)
    ],
    "shuffled": lambda data: sorted(numbers(data).shuffle()),
    "sharded": lambda data: len(list(numbers(data).sharding_filter())),
    "columns": columns,
    "own": own,
    "anew": anew,
    "loaded": loaded,
    "map": lambda data: [
        list(indexed(data).map(str.upper).batch(3)[1]), len(indexed(data).batch(3)),
        indexed(data).zip(indexed(data))[2], indexed(data).concat(indexed(data))[8],
        sorted(indexed(data).shuffle()),
    ],
    "no such method": lambda data: numbers(data).nothing(),
    "no length": lambda data: len(numbers(data).filter(even)),
    "taken": lambda data: data.functional_datapipe("map")(data.datapipes.iter.Filter),
    "guaranteed": guaranteed,
    "wrong filter": lambda data: list(numbers(data).filter(lambda n: n)),
}  # fmt: skip


def outcome(module: str, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return CASES[name](pipes(module))
        except Exception as error:
            return type(error).__name__


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    assert outcome("flambeau", name) == outcome("torch", name)
