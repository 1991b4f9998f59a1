"""Datasets, samplers and the loader against PyTorch's, for the same seeds."""

from __future__ import annotations

import collections
import gc
import threading
import time
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, identical

import flambeau
from flambeau.utils import data as ours
from flambeau.utils.data import _utils

pytestmark = pytest.mark.parity
theirs = torch.utils.data
Pair = collections.namedtuple("Pair", ["x", "y"])


class Squares:
    """An indexed dataset; not ours nor PyTorch's, so that both accept it."""

    def __init__(self, n: int = 23, library: Any = flambeau) -> None:
        self.n = n
        self.library = library

    def __getitem__(self, i: int) -> tuple[Any, int, dict[str, float]]:
        return self.library.full((2,), float(i * i)), i, {"half": i / 2}

    def __len__(self) -> int:
        return self.n


def _both(make: Any, seed: int = 4) -> tuple[list[Any], list[Any]]:
    """Run two epochs in each library from one seed; what the seed yields next is compared too."""
    results = []
    for library in LIBRARIES:
        library.manual_seed(seed)
        loader = make(library)
        batches = [list(loader), list(loader)]
        results.append([*batches, library.rand(3)])
    return results[0], results[1]


def _equal(first: Any, second: Any) -> None:
    """Two results of Flambeau."""
    identical(first, given(torch, second))


LOADERS: list[dict[str, Any]] = [
    {},
    {"batch_size": 5},
    {"batch_size": 5, "drop_last": True, "shuffle": True},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": None},
    {"batch_size": None, "shuffle": True},
    {"batch_size": 7, "collate_fn": lambda samples: [s[1] for s in samples]},
]


@pytest.mark.parametrize("options", LOADERS)
@pytest.mark.parametrize("kind", ["plain", "tensors", "subset", "concat"])
@pytest.mark.parametrize("seeded", [False, True])
def test_batches_are_pytorchs(options: dict[str, Any], kind: str, seeded: bool) -> None:
    x, y = torch.randn(23, 3), torch.arange(23)

    def make(library: Any) -> Any:
        data = library.utils.data
        dataset: Any = Squares(library=library)
        if kind != "plain":
            dataset = data.TensorDataset(given(library, x), given(library, y))
        if kind == "subset":
            dataset = data.random_split(dataset, [0.7, 0.3])[0]
        if kind == "concat":
            dataset = dataset + data.TensorDataset(given(library, x[:4]), given(library, y[:4]))
        generator = library.Generator().manual_seed(9) if seeded else None
        return data.DataLoader(dataset, generator=generator, **options)

    identical(*_both(make))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_change_nothing(workers: int, persistent: bool) -> None:
    results = []
    for options in ({}, {"num_workers": workers, "persistent_workers": persistent}):
        flambeau.manual_seed(2)
        loader = ours.DataLoader(Squares(), batch_size=4, shuffle=True, **options)
        results.append([list(loader), list(loader)])
    # PyTorch draws the workers' seed once for all epochs of persistent workers.
    _equal(results[0][0], results[1][0])
    if not persistent:
        _equal(results[0][1], results[1][1])


def test_persistent_workers_draw_what_pytorchs_draw() -> None:
    def make(library: Any) -> Any:
        squares = Squares(9, library)
        return library.utils.data.DataLoader(
            squares, batch_size=2, shuffle=True, num_workers=1, persistent_workers=True
        )

    identical(*_both(make))


def test_gathered_batch_is_a_copy() -> None:
    x = flambeau.randn(6, 2)
    kept = x.clone()
    (batch,) = next(iter(ours.DataLoader(ours.TensorDataset(x), batch_size=3)))
    batch.zero_()
    _equal(x, kept)


@pytest.mark.parametrize("change", ["numpy", "shown", "in place", "other memory", "none"])
@pytest.mark.parametrize("size", [3, 8])
def test_batches_are_made_of_what_the_memory_holds_when_they_are_asked_for(
    change: str, size: int
) -> None:
    """Writes between batches, through NumPy and through the tensor, as PyTorch sees them."""
    seen = []
    for library in LIBRARIES:
        memory = np.random.default_rng(1).random((50, 4)).astype(np.float32)
        x = library.from_numpy(memory) if change != "shown" else library.tensor(memory)
        y = library.arange(50)
        library.manual_seed(3)
        dataset = library.utils.data.TensorDataset(x, y)
        batches = []
        loader = library.utils.data.DataLoader(dataset, batch_size=size, shuffle=True)
        for number, (a, b) in enumerate(loader):
            batches += [a, b]
            if number % 2:
                continue
            if change == "numpy":
                memory[:] = memory * 2 + number
            elif change == "shown":
                x.numpy()[5:] -= number
            elif change == "in place":
                x.add_(number)
            elif change == "other memory":
                x.data = x.detach() * 2
        seen.append(batches)
    identical(*seen)


def test_tensor_dataset_takes_one_op_per_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    original = ours.TensorDataset.__getitem__

    class Watched(ours.TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            taken.append(index)
            return original(self, index)

    x = flambeau.randn(10, 2)
    first = list(ours.DataLoader(ours.TensorDataset(x), batch_size=4))
    second = list(ours.DataLoader(Watched(x), batch_size=4))
    _equal(first, second)
    # A subclass that chooses its samples is asked for each.
    assert taken == list(range(10))
    calls: list[Any] = []
    monkeypatch.setattr(ours.TensorDataset, "__len__", lambda self: 10)
    monkeypatch.setattr(flambeau.Tensor, "__getitem__", lambda self, i: calls.append(i))
    list(ours.DataLoader(ours.TensorDataset(x), batch_size=4))
    assert not calls


class _Count:
    """Mixed into each library's IterableDataset."""

    def __init__(self, n: int, data: Any) -> None:
        self.n = n
        self.data = data

    def __iter__(self) -> Any:
        info = self.data.get_worker_info()
        if info is None:
            return iter(range(self.n))
        return iter(range(info.id, self.n, info.num_workers))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_iterable_dataset(drop_last: bool, workers: int, batch_size: int | None) -> None:
    if batch_size is None and drop_last:
        return
    results = []
    for library in LIBRARIES:
        data = library.utils.data
        kind = type("Count", (_Count, data.IterableDataset), {})
        loader = data.DataLoader(
            kind(17, data), batch_size, num_workers=workers, drop_last=drop_last
        )
        results.append([list(loader), list(loader)])
    identical(results[0], results[1])


def test_worker_init_may_split_an_iterable_dataset() -> None:
    class Range(ours.IterableDataset[int]):
        start, step = 0, 1

        def __iter__(self) -> Any:
            return iter(range(self.start, 10, self.step))

    def split(worker: int) -> None:
        info = ours.get_worker_info()
        assert info is not None
        assert info.id == worker
        info.dataset.start, info.dataset.step = worker, info.num_workers

    dataset = Range()
    loader = ours.DataLoader(dataset, batch_size=2, num_workers=2, worker_init_fn=split)
    assert [b.tolist() for b in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
    assert dataset.start == 0
    assert ours.get_worker_info() is None


def test_exception_of_a_worker_arrives_with_its_traceback() -> None:
    class Broken(Squares):
        def __getitem__(self, i: int) -> Any:
            if i == 5:
                raise KeyError("sample five is broken")
            return i

    loader = ours.DataLoader(Broken(12), batch_size=2, num_workers=2)
    iterator = iter(loader)
    assert next(iterator).tolist() == [0, 1]
    assert next(iterator).tolist() == [2, 3]
    with pytest.raises(KeyError, match="sample five") as raised:
        next(iterator)
    assert raised.traceback[-1].name == "__getitem__"
    # As in PyTorch the loader goes on after the failed batch.
    assert next(iterator).tolist() == [6, 7]


def test_timeout() -> None:
    release = threading.Event()

    class Slow(Squares):
        def __getitem__(self, i: int) -> Any:
            release.wait(20)
            return i

    with pytest.raises(RuntimeError, match=r"timed out after 0\.05 seconds"):
        next(iter(ours.DataLoader(Slow(4), num_workers=1, timeout=0.05)))
    release.set()


def _data_threads() -> int:
    return sum(t.name.startswith("flambeau-data") for t in threading.enumerate())


@pytest.mark.parametrize("how", ["finished", "abandoned", "persistent"])
def test_threads_end(how: str) -> None:
    before = _data_threads()
    persistent = how == "persistent"
    loader = ours.DataLoader(Squares(), num_workers=3, persistent_workers=persistent)
    if how == "abandoned":
        next(iter(loader))
    else:
        list(loader)
    del loader
    gc.collect()
    for _ in range(1500):
        if _data_threads() <= before:
            return
        time.sleep(0.02)
    raise AssertionError("worker threads are left")


def test_out_of_order() -> None:
    first = threading.Event()

    class Late(Squares):
        def __getitem__(self, i: int) -> Any:
            if i == 0:
                first.wait(20)
            return i

    loader = ours.DataLoader(Late(6), num_workers=2, in_order=False)
    iterator = iter(loader)
    seen = [int(next(iterator)) for _ in range(2)]
    assert 0 not in seen
    first.set()
    assert sorted(seen + [int(b) for b in iterator]) == list(range(6))


BATCHES: list[list[Any]] = [
    [torch.ones(2), torch.zeros(2)],
    [1, 2],
    [True, False],
    [1.5, 2.5],
    ["a", "b"],
    [np.float32(1), np.float32(2)],
    [np.int64(1), np.int64(2)],
    [np.ones((2, 2)), np.zeros((2, 2))],
    [(1, [2.0, 3]), (4, [5.0, 6])],
    [{"a": 1, "b": (2, "x")}, {"a": 3, "b": (4, "y")}],
    [Pair(1, torch.ones(1)), Pair(2, torch.zeros(1))],
    [[1, 2], [3, 4]],
    [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
]


@pytest.mark.parametrize("batch", BATCHES)
def test_collate_and_convert(batch: list[Any]) -> None:
    for name in ("default_collate", "default_convert"):
        results = [getattr(lib.utils.data, name)(given(lib, batch)) for lib in LIBRARIES]
        identical(*results)
    assert _utils.collate.default_collate is ours.default_collate


def test_collate_takes_views_strides_and_gradients() -> None:
    """Samples that are views, that need a gradient, that are not computed yet, that differ."""
    x = torch.randn(6, 4, 3)
    results = []
    for library in LIBRARIES:
        own = given(library, x)
        leaf = given(library, x).requires_grad_()
        stack = library.utils.data.default_collate
        batch = stack([leaf[i] for i in (2, 0, 2)])
        (batch * stack([own[i] for i in (1, 2, 3)])).sum().backward()
        made = [stack([own[i].t() for i in (3, 1)]), stack([own[i] * 2 for i in (5, 4)])]
        results.append([*made, leaf.grad, stack([own[0, 0, 0], own[1, 1, 1]])])
        with pytest.raises(RuntimeError, match="equal size"):
            stack([own[0], own[0, 1:]])
    identical(*results)


class Recorded:
    """A dataset that computes its samples with ops; not ours nor PyTorch's."""

    def __init__(self, library: Any) -> None:
        generator = library.Generator().manual_seed(5)
        self.x = library.randn(40, 3, generator=generator)
        self.y = library.randint(0, 4, (40,), generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.x[i] * 2 + self.y[i], self.y[i] / 4


def test_samples_that_are_computed() -> None:
    def make(library: Any) -> Any:
        return library.utils.data.DataLoader(Recorded(library), batch_size=7, shuffle=True)

    identical(*_both(make))


@pytest.mark.parametrize("batch", [[object()], [[1, 2], [3]], [np.array(["a"])]])
def test_collate_mistakes(batch: list[Any]) -> None:
    with pytest.raises(Exception) as expected:
        theirs.default_collate(batch)
    with pytest.raises(expected.type) as raised:
        ours.default_collate(batch)
    assert str(raised.value) == str(expected.value)


SAMPLERS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("SequentialSampler", (range(7),), {}),
    ("RandomSampler", (range(7),), {}),
    ("RandomSampler", (range(7),), {"num_samples": 17}),
    ("RandomSampler", (range(7),), {"replacement": True, "num_samples": 70}),
    ("RandomSampler", (range(7),), {"replacement": True, "num_samples": 64}),
    ("SubsetRandomSampler", ([3, 1, 4, 15],), {}),
    ("WeightedRandomSampler", ([0.1, 0.7, 0.2], 20), {}),
    ("WeightedRandomSampler", ([0.1, 0.7, 0.2], 2, False), {}),
    ("BatchSampler", (range(7), 3, False), {}),
    ("BatchSampler", (range(7), 3, True), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), SAMPLERS)
@pytest.mark.parametrize("seeded", [False, True])
def test_sampler(name: str, args: Any, options: Any, seeded: bool) -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(8)
        own = library.Generator().manual_seed(6)
        extra = {"generator": own} if seeded and "andom" in name else {}
        sampler = getattr(library.utils.data, name)(*args, **options, **extra)
        drawn = [len(sampler), list(sampler), list(sampler), library.rand(2), own.get_state()]
        results.append(drawn)
    identical(results[0], results[1])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_distributed_sampler(shuffle: bool, drop_last: bool) -> None:
    for rank in range(3):
        results = []
        for namespace in (ours, theirs):
            sampler = namespace.DistributedSampler(
                range(10), 3, rank, shuffle=shuffle, seed=5, drop_last=drop_last
            )
            sampler.set_epoch(2)
            results.append([len(sampler), list(sampler)])
        assert results[0] == results[1]


MISTAKES: list[dict[str, Any]] = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"persistent_workers": True},
    {"shuffle": True, "sampler": [1]},
    {"batch_sampler": [[1]], "batch_size": 3},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"batch_size": 2.5},
    {"multiprocessing_context": "fork"},
]


@pytest.mark.parametrize("options", MISTAKES)
def test_loader_mistakes(options: dict[str, Any]) -> None:
    with pytest.raises(Exception) as expected:
        theirs.DataLoader(Squares(), **options)
    with pytest.raises(expected.type) as raised:
        ours.DataLoader(Squares(), **options)
    assert str(raised.value) == str(expected.value)


def test_loader_attributes_are_fixed() -> None:
    loader = ours.DataLoader(Squares(), batch_size=3)
    assert len(loader) == 8
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 4


def test_random_split_and_stack() -> None:
    results = []
    for library in LIBRARIES:
        namespace = library.utils.data
        library.manual_seed(1)
        parts = namespace.random_split(Squares(10, library), [0.35, 0.35, 0.3])
        stacked = namespace.StackDataset(a=Squares(3, library), b=range(3))
        results.append(
            [
                [list(p.indices) for p in parts],
                stacked[1],
                stacked.__getitems__([2, 0]),
                namespace.StackDataset(range(3), range(3)).__getitems__([1, 2]),
            ]
        )
    identical(*results)
    with pytest.raises(ValueError, match="Sum of input lengths"):
        ours.random_split(Squares(10), [3, 3])
