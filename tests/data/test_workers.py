"""Worker threads and processes: what goes wrong in them, their random numbers, scripts, Ctrl-C."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    get_worker_info,
)

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and fork")
METHODS = [None, *(m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods())]
KINDS = [{"num_workers": 2, "multiprocessing_context": method} for method in METHODS]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[str(m) for m in METHODS])


class Numbers(Dataset[Any]):
    """Sample i is what a function makes of i."""

    def __init__(self, n: int, make: Any = None) -> None:
        self.n = n
        self.make = make

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return i if self.make is None else self.make(i)


@each_kind
def test_batches(kind: Any) -> None:
    factor = 3

    class Local(Numbers):
        def __getitem__(self, i: int) -> Any:
            return {"x": flambeau.full((2,), float(i)), "y": super().__getitem__(i), "z": str(i)}

    dataset = Local(11, lambda i: i * factor)
    plain = list(DataLoader(dataset, batch_size=3))
    loader = DataLoader(dataset, batch_size=3, persistent_workers=True, **kind)
    for _ in range(2):
        batches = list(loader)
        assert [b["y"].tolist() for b in batches] == [b["y"].tolist() for b in plain]
        assert [b["x"].tolist() for b in batches] == [b["x"].tolist() for b in plain]
        assert batches[3]["z"] == ["9", "10"]


@each_kind
def test_exception_has_its_traceback_and_the_sample(kind: Any) -> None:
    def make(i: int) -> int:
        if i == 5:
            raise KeyError("sample five is broken")
        return i

    iterator = iter(DataLoader(Numbers(12, make), batch_size=2, **kind))
    assert [next(iterator).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="sample five is broken") as raised:
        next(iterator)
    if kind["multiprocessing_context"] is None:
        assert raised.traceback[-1].name == "make"
        text = "\n".join(raised.value.__notes__)  # type: ignore[attr-defined, unused-ignore]
    else:
        text = str(raised.value)
        assert "in make" in text and "DataLoader worker process 0" in text
    if sys.version_info >= (3, 11):
        assert "sample 5" in text
    # As in PyTorch the loader goes on after the failed batch.
    assert next(iterator).tolist() == [6, 7]


@each_kind
def test_failing_start(kind: Any) -> None:
    def init(worker: int) -> None:
        raise ValueError(f"no start for {worker}")

    with pytest.raises(ValueError, match="no start for 0"):
        list(DataLoader(Numbers(4), worker_init_fn=init, **kind))


@posix
@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("how", ["exit", "signal"])
def test_death_is_named_at_once(method: str, how: str) -> None:
    def make(i: int) -> int:
        if i == 3 and how == "exit":
            os._exit(7)
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    loader = DataLoader(Numbers(8, make), num_workers=2, multiprocessing_context=method)
    words = "worker 1 ended with " + ("exit code 7" if how == "exit" else "signal SIGKILL")
    with pytest.raises(RuntimeError, match=rf"\(pid\(s\) \d+\) exited unexpectedly: {words}"):
        list(loader)


@each_kind
def test_hanging_worker(kind: Any) -> None:
    def make(i: int) -> int:
        time.sleep(3)
        return i

    loader = DataLoader(Numbers(4, make), timeout=0.3, **kind)
    with pytest.raises(RuntimeError, match=r"timed out after 0\.3 seconds"):
        list(loader)


def test_batch_that_cannot_be_pickled() -> None:
    if "fork" not in METHODS:
        return
    loader = DataLoader(
        Numbers(4, lambda i: threading.Lock()),
        collate_fn=lambda s: s,
        num_workers=1,
        multiprocessing_context="fork",
    )
    with pytest.raises(TypeError, match="cannot pickle"):
        next(iter(loader))


def drawn(i: int) -> list[float]:
    return [random.random(), float(np.random.rand()), flambeau.rand(()).item()]


@each_kind
def test_random_numbers(kind: Any) -> None:
    """Each worker and epoch has others, the same in each run; ours here do not move."""

    def run() -> list[list[float]]:
        flambeau.manual_seed(3)
        loader = DataLoader(Numbers(6, drawn), batch_size=None, **kind)
        return [sample for _ in range(2) for sample in loader]

    random.seed(1)
    np.random.seed(1)
    here = [random.random(), np.random.rand()]
    random.seed(1)
    np.random.seed(1)
    limit = time.monotonic() + 30  # threads of other tests may still be at their last sample
    while type(random.random) is type(run) and time.monotonic() < limit:
        gc.collect()  # frames of their failures hold loaders
        time.sleep(0.01)
    original = random.random
    first = run()
    assert [random.random(), np.random.rand()] == here
    assert first == run()
    for column in zip(*first):
        assert len(set(column)) == 12
    while random.random is not original and time.monotonic() < limit:
        time.sleep(0.01)
    assert random.random is original and type(original) is not type(run)


def test_random_numbers_are_the_same_in_threads_and_processes() -> None:
    values = []
    for kind in KINDS:
        flambeau.manual_seed(5)
        values.append(list(DataLoader(Numbers(4, drawn), batch_size=None, **kind)))
    assert all(value == values[0] for value in values)


class Parts(IterableDataset[int]):
    def __iter__(self) -> Any:
        info = get_worker_info()
        assert info is not None
        return iter(range(info.id, 9, info.num_workers))


@each_kind
def test_iterable_dataset(kind: Any) -> None:
    batches = [b.tolist() for b in DataLoader(Parts(), batch_size=2, **kind)]
    assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8]]


@posix
def test_workers_end_with_their_loader() -> None:
    dataset = Numbers(50, lambda i: os.getpid())
    loader = DataLoader(dataset, num_workers=2, multiprocessing_context="fork")
    iterator = iter(loader)
    pids = {next(iterator).item() for _ in range(4)}
    assert len(pids) == 2 and os.getpid() not in pids
    del iterator
    gc.collect()
    limit = time.monotonic() + 20
    while pids and time.monotonic() < limit:
        time.sleep(0.02)
        pids = (
            {pid for pid in pids if Path(f"/proc/{pid}").exists()}
            if Path("/proc").exists()
            else set()
        )
    assert not pids


SCRIPT = """
import flambeau as torch, os, sys
from dataclasses import dataclass, field, fields
from flambeau.utils.data import DataLoader, Dataset
print("the script runs")
scale = 2.0

def scaled(i):
    return torch.tensor([i * scale])

@dataclass
class Item:
    x: int
    more: list = field(default_factory=list)

class Base(Dataset):
    def __len__(self):
        return 6

class Own(Base):
    '''Doc.'''
    def __init__(self, f):
        super().__init__()
        self.f = f
    @property
    def half(self):
        return 2
    @staticmethod
    def add(x):
        return x + 1
    def __getitem__(self, i):
        return scaled(self.add(i)) / self.half, self.f(i), Item(i)

def collate(samples):
    x, y, items = zip(*samples)
    return torch.stack(x), torch.tensor(y), items

kind = {"num_workers": 2, "multiprocessing_context": sys.argv[1], "collate_fn": collate}
loader = DataLoader(Own(lambda i: i * i), 3, **kind)
for epoch in range(2):
    for x, y, items in loader:
        assert type(items[0]) is Item and items[0].more == [] and len(fields(items[0])) == 2
        assert Item.__annotations__ == {"x": int, "more": list}
        print(x.flatten().tolist(), y.tolist())
"""


@pytest.mark.parametrize("method", METHODS[1:])
def test_script_without_a_main_guard(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    answer = subprocess.run(
        [sys.executable, str(script), method],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    epoch = ["[1.0, 2.0, 3.0] [0, 1, 4]", "[4.0, 5.0, 6.0] [9, 16, 25]"]
    assert answer.stdout.splitlines() == ["the script runs", *epoch, *epoch]
    assert not answer.stderr


ENDLESS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from flambeau.utils.data import DataLoader
class Slow:
    def __len__(self): return 1000
    def __getitem__(self, i):
        time.sleep(0.01 if i < 4 else 60)
        return i
kind = None if sys.argv[1] == "threads" else sys.argv[1]
for batch in DataLoader(Slow(), num_workers=2, multiprocessing_context=kind):
    print("batch", flush=True)
"""


@posix
@pytest.mark.parametrize("method", ["threads", *METHODS[1:]])
def test_interrupted_from_the_keyboard(method: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, method],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt"), errors
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):  # until the system has buried them all
            os.killpg(process.pid, 0)
            time.sleep(0.01)


# ---- resuming ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dataset", ["tensors", "numbers", "iterable"])
@pytest.mark.parametrize("seeded", [False, True])
def test_resuming_in_the_middle_of_an_epoch(workers: int, dataset: str, seeded: bool) -> None:
    class Count(IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter(range(20))

    def loader() -> DataLoader:
        options: dict[str, Any] = {"batch_size": 3, "num_workers": workers}
        if seeded:
            options["generator"] = flambeau.Generator().manual_seed(4)
        if dataset == "iterable":
            return DataLoader(Count(), **options)
        data = TensorDataset(flambeau.arange(20)) if dataset == "tensors" else Numbers(20)
        return DataLoader(data, shuffle=True, **options)

    def listed(batches: Any) -> list[Any]:
        return [(b[0] if isinstance(b, list) else b).tolist() for b in batches]

    flambeau.manual_seed(6)
    first = loader()
    listed(first)
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    state, drawn_state = first.state_dict(), flambeau.get_rng_state()
    expected = [listed(iterator), listed(first), flambeau.rand(2).tolist()]

    second = loader()
    flambeau.manual_seed(99)
    second.load_state_dict(state)
    flambeau.set_rng_state(drawn_state)
    assert second.state_dict()["yielded"] == 3
    assert [listed(second), listed(second), flambeau.rand(2).tolist()] == expected
    assert second.state_dict()["yielded"] == 0


# ---- whole batches -------------------------------------------------------------------------------


def test_rows_are_those_of_their_time() -> None:
    """Batches are gathered ahead; what is written to the tensors meanwhile is seen all the same."""
    for write in ("op", "numpy", "set"):
        x = flambeau.arange(40.0)
        memory = x.numpy() if write == "numpy" else None
        seen = []
        for place, (batch,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
            seen.append(batch.sum().item())
            if place == 3:
                if memory is not None:
                    memory[:] = 1.0
                elif write == "op":
                    x.fill_(1.0)
                else:
                    x[:] = flambeau.ones(40)
        assert seen[:4] == [6.0, 22.0, 38.0, 54.0] and seen[4:] == [4.0] * 6, (write, seen)


def test_batches_have_memory_of_their_own() -> None:
    x = flambeau.arange(24.0).reshape(12, 2)
    batches = [b for (b,) in DataLoader(TensorDataset(x), batch_size=2)]
    batches[1].zero_()
    assert batches[0].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert batches[2].tolist() == [[8.0, 9.0], [10.0, 11.0]]
    assert x.sum().item() == sum(range(24))
    assert batches[1].untyped_storage().nbytes() == 16


def test_dataset_that_makes_whole_batches() -> None:
    class Whole(Numbers):
        def __getbatch__(self, indices: list[int]) -> Any:
            return None if 7 in indices else ["whole", indices]

    from flambeau.utils.data import Subset

    dataset = Subset(Whole(9), range(8, -1, -1))
    assert list(DataLoader(dataset, batch_size=2))[1:3] == [["whole", [6, 5]], ["whole", [4, 3]]]
    assert next(iter(DataLoader(dataset, batch_size=2))).tolist() == [8, 7]
    assert next(iter(DataLoader(dataset, batch_size=3, collate_fn=list))) == [8, 7, 6]
