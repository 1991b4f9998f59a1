"""torch.multiprocessing and torch.distributed of one process, beside PyTorch's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau
import flambeau.distributed
import flambeau.multiprocessing
from flambeau.utils.data.distributed import DistributedSampler

pytestmark = pytest.mark.parity


def _said(run: Callable[[], Any]) -> Any:
    try:
        value = run()
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0]
    return value


# Without a group: (torch.distributed, a tensor).
OUTSIDE: dict[str, Callable[[Any, Any], Any]] = {
    "available": lambda d, t: (d.is_available(), d.is_initialized(), d.is_nccl_available()),
    "rank": lambda d, t: d.get_rank(),
    "world size": lambda d, t: d.get_world_size(),
    "backend": lambda d, t: d.get_backend(),
    "barrier": lambda d, t: d.barrier(),
    "all_reduce": lambda d, t: d.all_reduce(t),
    "destroy": lambda d, t: d.destroy_process_group(),
    "no environment": lambda d, t: d.init_process_group("gloo"),
    "new group": lambda d, t: d.new_group([0]),
    "timeout": lambda d, t: str(d.default_pg_timeout),
    "gloo": lambda d, t: (d.is_backend_available("gloo"), str(d.Backend.GLOO)),
}
# In a group of one.
INSIDE: dict[str, Callable[[Any, Any], Any]] = {
    "rank": lambda d, t: (d.get_rank(), d.get_world_size(), d.get_backend(), d.is_initialized()),
    "all_reduce": lambda d, t: (d.all_reduce(t), t.tolist()),
    "mean": lambda d, t: (d.all_reduce(t, op=d.ReduceOp.AVG), t.tolist()),
    "async": lambda d, t: d.all_reduce(t, async_op=True).wait(),
    "broadcast": lambda d, t: (d.broadcast(t, 0), t.tolist()),
    "broadcast from nobody": lambda d, t: d.broadcast(t, 1),
    "all_gather": lambda d, t: (d.all_gather(o := [t * 0], t), o[0].tolist()),
    "all_gather, wrong": lambda d, t: d.all_gather([t, t], t),
    "gather": lambda d, t: (d.gather(t, o := [t * 0]), o[0].tolist()),
    "scatter": lambda d, t: (d.scatter(t, [t * 2]), t.tolist()),
    "reduce_scatter": lambda d, t: (d.reduce_scatter(t, [t * 2]), t.tolist()),
    "all_to_all": lambda d, t: (d.all_to_all(o := [t * 0], [t]), o[0].tolist()),
    "objects": lambda d, t: (d.all_gather_object(o := [None], {"a": 1}), o),
    "send": lambda d, t: d.send(t, 0),
    "again": lambda d, t: d.init_process_group("gloo"),
    "ranks": lambda d, t: d.get_process_group_ranks(None),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_without_a_group(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    ours, theirs = (
        _said(lambda m=m: OUTSIDE[name](m.distributed, m.ones(2))) for m in (flambeau, torch)
    )
    assert ours == theirs


@contextlib.contextmanager
def _group(module: Any, folder: Any) -> Iterator[None]:
    method = f"file://{folder}/{module.__name__}"
    module.distributed.init_process_group("gloo", init_method=method, rank=0, world_size=1)
    try:
        yield
    finally:
        module.distributed.destroy_process_group()


def test_in_a_group_of_one(tmp_path: Any) -> None:
    said = {}
    for module in (flambeau, torch):
        with _group(module, tmp_path):
            said[module] = {
                name: _said(lambda m=module, c=case: c(m.distributed, m.tensor([1.0, 2.0])))
                for name, case in INSIDE.items()
            }
    assert said[flambeau] == said[torch]


def test_data_parallel_of_one(tmp_path: Any) -> None:
    with _group(flambeau, tmp_path):
        net = flambeau.nn.Linear(2, 3)
        model = flambeau.nn.parallel.DistributedDataParallel(net)
        assert list(model.state_dict()) == ["module.weight", "module.bias"]
        with model.no_sync():
            model(flambeau.ones(1, 2)).sum().backward()
        assert net.weight.grad.tolist() == [[1.0, 1.0]] * 3
        assert sorted(DistributedSampler(range(5))) == list(range(5))
        with pytest.raises(RuntimeError, match="any parameters that require a gradient"):
            flambeau.nn.parallel.DistributedDataParallel(flambeau.nn.ReLU())
    with pytest.raises(ValueError, match="Default process group"):
        DistributedSampler(range(5))
    with pytest.raises(NotImplementedError, match="4 processes"):
        flambeau.distributed.init_process_group("gloo", "env://", rank=0, world_size=4)


def _square(place: int, queue: Any, by: float) -> None:
    queue.put((place, (flambeau.ones(2) * place * by).tolist()))


def _fail(place: int) -> None:
    if place == 1:
        raise ValueError("the second process")
    os._exit(0)


def _exit(place: int) -> None:
    os._exit(3)


def test_spawn() -> None:
    mp = flambeau.multiprocessing
    queue = mp.get_context("spawn").SimpleQueue()
    assert mp.spawn(_square, args=(queue, 2.0), nprocs=2) is None
    assert sorted(queue.get() for _ in range(2)) == [(0, [0.0, 0.0]), (1, [2.0, 2.0])]


def test_spawned_errors() -> None:
    mp = flambeau.multiprocessing
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: the second process") as told:
        mp.start_processes(_fail, nprocs=2, start_method="fork")
    assert told.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="exit code 3"):
        mp.start_processes(_exit, nprocs=1, start_method="fork")
    with pytest.raises(ValueError, match="only supports start_method=spawn"):
        mp.spawn(_exit, start_method="fork")


def _train_shared(model: Any, shown: Any, queue: Any) -> None:
    optimizer = flambeau.optim.SGD(model.parameters(), lr=0.5)
    model(flambeau.ones(1, 3)).sum().backward()
    optimizer.step()
    shown += 1
    queue.put(shown[1:])
    queue.get()


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_shared_memory_is_seen_by_all(way: str) -> None:
    context: Any = flambeau.multiprocessing.get_context(way)
    model = flambeau.nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    model.share_memory()
    whole = flambeau.zeros(4).share_memory_()
    assert whole[2:].is_shared() and whole.untyped_storage().is_shared()
    assert not flambeau.zeros(4).is_shared()
    queue = context.SimpleQueue()
    process = context.Process(target=_train_shared, args=(model, whole[1:], queue))
    process.start()
    came = queue.get()  # a view of the memory that was shared here
    came[0] = 7.0
    queue.put(None)
    process.join()
    assert process.exitcode == 0
    assert whole.tolist() == [0.0, 1.0, 7.0, 1.0]
    for p, was in zip(model.parameters(), before, strict=True):
        assert flambeau.equal(p, was - 0.5)
    model(flambeau.ones(1, 3)).sum().backward()  # and goes on to be trained here
    optimizer = flambeau.optim.SGD(model.parameters(), lr=0.5)
    optimizer.step()
    assert flambeau.equal(model.bias, before[1] - 0.5 - 0.5)


def test_shared_memory_of_a_trained_model() -> None:
    """Known steps over memory that moves, and a storage that several tensors show. (The twin's are
    other programs, which may be compiled sooner: they differ by roundings.)
    """
    model = flambeau.nn.Linear(3, 1)
    optimizer = flambeau.optim.Adam(model.parameters(), lr=0.1)
    twin = flambeau.nn.Linear(3, 1)
    twin.load_state_dict(model.state_dict())
    other = flambeau.optim.Adam(twin.parameters(), lr=0.1)
    view = model.weight.data[:, 1:]
    for step in range(8):
        if step == 4:
            model.share_memory()
        for net, update in ((model, optimizer), (twin, other)):
            net(flambeau.ones(2, 3)).pow(2).sum().backward()
            update.step()
            update.zero_grad()
    flambeau.testing.assert_close(model.weight, twin.weight)
    flambeau.testing.assert_close(model.bias, twin.bias)
    assert view.is_shared() and flambeau.equal(view, model.weight.data[:, 1:])
    with pytest.raises(RuntimeError, match="not resizable"):
        view.untyped_storage().resize_(64)


def test_history_is_not_sent() -> None:
    import multiprocessing.reduction

    x = flambeau.ones(2).share_memory_().requires_grad_()
    y = (x * 2).share_memory_()
    with pytest.raises(RuntimeError, match="Cowardly refusing"):
        multiprocessing.reduction.ForkingPickler.dumps(y)
    empty = flambeau.ones(0).share_memory_()
    assert empty.is_shared() and empty.tolist() == []
