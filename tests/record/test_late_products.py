"""Gradients of large weights that are left to whoever looks (graph/late_products.py), against
PyTorch and against themselves where they are written.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.graph import late_products
from flambeau.record.late import LateStorage
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import no_memory
from flambeau.record.worth import EARLY
from tests.record import late_trainings
from tests.record.late_trainings import (
    LOOPS,
    Loop,
    agree,
    cleared_last,
    clipped,
    clipped_at_once,
    held,
    loss_of,
    plain,
    read_each_time,
    tied,
)

FEATURES = 288  # of a layer that is large enough
# Of gradients near zero, the last bits decide an update of Adam's.
OPTIMIZERS = late_trainings.OPTIMIZERS | {
    "adam": lambda torch, p: torch.optim.Adam(p, lr=1e-2, eps=1e-3),
    "adamw": lambda torch, p: torch.optim.AdamW(p, lr=1e-2, eps=1e-3, amsgrad=True),
}
Build = Callable[[Any], tuple[Any, Any]]  # of a library: a model and its input


def steps(torch: Any, rounds: int = 4, width: int = 6) -> list[Any]:
    """Batches (another width: programs that no other test has met)."""
    rng = np.random.default_rng(5)
    batches = rng.standard_normal((rounds, 4, width, FEATURES)).astype(np.float32)
    return [torch.tensor(batch) for batch in batches]


def model(torch: Any) -> Any:
    weights = np.random.default_rng(1).standard_normal((FEATURES, FEATURES)).astype(np.float32)
    layer = torch.nn.Linear(FEATURES, FEATURES, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights * 0.06))
    return layer


def optimizer_of(layer: Any, name: str = "sgd") -> Any:
    return OPTIMIZERS[name](flambeau, layer.parameters())


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No steps were ever new: then the optimizer's part would run by itself."""
    for name, start in (("waiting", 0.0), ("many", False), ("known", 0)):
        monkeypatch.setattr(EARLY, name, start)
    monkeypatch.setattr(STATISTICS, "plans", 0)


def is_late(tensor: Any) -> bool:
    """Whether it has no memory yet (it is computed: its program has run)."""
    storage = tensor._storage
    return type(storage) is LateStorage and not storage.made


def observed(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Hooks see every gradient."""
    seen: list[Any] = []
    weight = layer.weight

    def halve(gradient: Any) -> Any:
        seen.append(gradient.sum(1))
        return gradient * 0.5

    def note(parameter: Any) -> None:
        seen.append(parameter.grad.abs().sum().item())

    weight.register_hook(halve)
    weight.register_post_accumulate_grad_hook(note)
    return [*plain(torch, layer, optimizer, batches), *seen, weight.grad]


def viewed(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Views of gradients, made before and after the step, read when it is over."""
    seen: list[Any] = []
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        early = layer.weight.grad.t()[3] if number % 2 else None
        optimizer.step()
        seen.append(loss.item())
        grad = layer.weight.grad
        seen += [grad.view(-1)[7:90].clone(), grad[:, 5].sum().item(), grad.t().contiguous()]
        seen.append(early)
    return seen


def written_operands(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """What the gradient was made of is written before somebody looks."""
    seen: list[Any] = []
    for batch in batches:
        batch = batch.clone()
        optimizer.zero_grad()
        hidden = layer(batch)
        loss = (hidden.tanh().sum(0) ** 2).mean()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
        with torch.no_grad():
            batch.zero_()
            hidden.fill_(7.0)
            layer.weight.mul_(0.5)
        seen.append(layer.weight.grad)
    return seen


def copied_and_saved(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = plain(torch, layer, optimizer, batches)
    twin, parts = copy.deepcopy(layer), copy.deepcopy((layer.weight.grad, layer.weight.grad[1]))
    file = io.BytesIO()
    torch.save(layer.weight.grad, file)
    file.seek(0)
    layer.weight.grad.mul_(2.0)
    return [*seen, twin.weight.grad, *parts, torch.load(file), layer.weight.grad]


def zeroed(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Gradients that are zeros before the next one is added."""
    seen = plain(torch, layer, optimizer, batches[:2])
    for batch in batches[2:]:
        optimizer.zero_grad(set_to_none=False)
        seen.append(layer.weight.grad.abs().sum().item())
        loss_of(layer, batch).backward()
        optimizer.step()
    return [*seen, layer.weight.grad]


def by_hand(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Gradients that nobody keeps in `.grad`."""
    seen = []
    for batch in batches:
        loss = loss_of(layer, batch)
        (grad,) = torch.autograd.grad(loss, layer.weight)
        with torch.no_grad():
            layer.weight -= 0.5 * grad
        seen += [loss.item(), grad]
    return seen


OWN_LOOPS: list[Loop] = [observed, viewed, written_operands, copied_and_saved, zeroed, by_hand]
CASES = [(loop, "sgd") for loop in (*LOOPS, *OWN_LOOPS)]
CASES += [(plain, name) for name in OPTIMIZERS]
CASES += [(loop, "adam") for loop in (cleared_last, held, clipped, clipped_at_once, tied, viewed)]
CASES += [(zeroed, "momentum"), (held, "momentum"), (copied_and_saved, "adamw")]


def run(torch: Any, loop: Loop, optimizer: str) -> list[Any]:
    layer = model(torch)
    found = loop(torch, layer, OPTIMIZERS[optimizer](torch, layer.parameters()), steps(torch))
    return [*found, layer.weight.detach()]


@pytest.mark.parity
@pytest.mark.parametrize(("loop", "optimizer"), CASES)
def test_trainings(loop: Loop, optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    agree(run(flambeau, loop, optimizer), run(torch, loop, optimizer))


def test_nobody_looks() -> None:
    """The gradient has no memory until it is read, and knows its size all the same."""
    layer = model(flambeau)
    plain(flambeau, layer, optimizer_of(layer), steps(flambeau, width=7))
    grad = layer.weight.grad
    assert is_late(grad)
    assert grad.untyped_storage().nbytes() == 4 * FEATURES * FEATURES
    assert is_late(grad)
    total = grad.abs().sum().item()
    assert not is_late(grad) and total > 0


def test_wanted_gradients_are_written_with_the_rest() -> None:
    layer = model(flambeau)
    read_each_time(flambeau, layer, optimizer_of(layer), steps(flambeau, 6, 8))
    assert type(layer.weight.grad._storage) is not LateStorage


def test_gradients_that_are_wanted_once() -> None:
    """To look at all of one step says nothing of those to come."""
    net = flambeau.nn.Sequential(*[flambeau.nn.Linear(FEATURES, FEATURES) for _ in range(4)])
    optimizer = optimizer_of(net)
    for number, batch in enumerate(steps(flambeau, 12, 15)):
        plain(flambeau, net, optimizer, [batch])
        if number == 1:
            assert all(p.grad.abs().sum().item() > 0 for p in net.parameters())
    assert sum(is_late(p.grad) for p in net.parameters()) == 4


@pytest.mark.parametrize("loop", [clipped, observed])
def test_gradients_that_are_read_are_written(loop: Loop) -> None:
    """Whoever needs the gradient in memory finds it there."""
    layer = model(flambeau)
    loop(flambeau, layer, optimizer_of(layer), steps(flambeau, width=9))
    assert type(layer.weight.grad._storage) is not LateStorage


def test_small_weights_and_large_batches_are_written() -> None:
    for rows, features in ((8, 64), (512, FEATURES)):
        layer = flambeau.nn.Linear(features, features)
        batches = [flambeau.ones(4, rows // 4, features) for _ in range(3)]
        plain(flambeau, layer, optimizer_of(layer), batches)
        assert type(layer.weight.grad._storage) is not LateStorage


def dense(torch: Any) -> tuple[Any, Any]:
    layers = [torch.nn.Linear(400, 320), torch.nn.ReLU(), torch.nn.Linear(320, 240)]
    return torch.nn.Sequential(*layers), torch.randn(24, 400)


def images(torch: Any) -> tuple[Any, Any]:
    """A layer behind a convolution whose results lie with the batch innermost."""
    nn = torch.nn
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.ELU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 14 * 14, 96)), torch.randn(32, 1, 28, 28)


def wide(torch: Any) -> tuple[Any, Any]:
    """A layer with more inputs than one strip of its product has."""
    return torch.nn.Sequential(torch.nn.Linear(3000, 130)), torch.randn(17, 3000)


def doubles(torch: Any) -> tuple[Any, Any]:
    net, x = dense(torch)
    return net.double(), x.double()


def train(torch: Any, build: Build, rounds: int = 4) -> tuple[Any, list[Any]]:
    """A model after some steps, and the losses."""
    torch.manual_seed(3)
    net, x = build(torch)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(rounds):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return net, losses


@pytest.fixture
def threads() -> Any:
    before = flambeau.get_num_threads()
    yield flambeau.set_num_threads
    flambeau.set_num_threads(before)


@pytest.mark.parametrize("build", [dense, images, wide, doubles])
def test_bits(build: Build, monkeypatch: pytest.MonkeyPatch, threads: Any) -> None:
    """What is made later is what would have been written, whatever the number of threads."""
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    nets = []
    for count in (1, 2, 3):
        threads(count)
        nets.append(train(flambeau, build)[0])
        assert any(is_late(p.grad) for p in nets[-1].parameters())
    threads(1)
    monkeypatch.setattr(late_products, "LEAST_BYTES", 1 << 40)
    written, _ = train(flambeau, lambda t: separate(build, t))
    assert not any(type(p.grad._storage) is LateStorage for p in written.parameters())
    expected = dict(written.named_parameters())
    for count, net in zip((2, 3, 1), nets):
        threads(count)
        for name, p in net.named_parameters():
            other = expected[name]
            np.testing.assert_array_equal(p.detach().numpy(), other.detach().numpy())
            np.testing.assert_array_equal(p.grad.numpy(), other.grad.numpy())


def separate(build: Build, torch: Any) -> tuple[Any, Any]:
    """The same model, in programs of its own."""
    net, x = build(torch)
    net.register_forward_hook(lambda module, given, result: result * 1.0)
    return net, x


@pytest.mark.parity
@pytest.mark.parametrize("build", [images, wide, doubles])
def test_networks(build: Build) -> None:
    torch = pytest.importorskip("torch")
    (ours, losses), (theirs, others) = train(flambeau, build), train(torch, build)
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), 1e-4, 1e-6)
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), 1e-4, 1e-6)


def test_gradients_of_all_steps() -> None:
    """Each keeps what it is made of, though the program goes on."""
    layer, batches = model(flambeau), steps(flambeau, 8, 10)
    optimizer = optimizer_of(layer)
    weights, gradients = [], []
    for batch in batches:
        optimizer.zero_grad()
        loss_of(layer, batch).backward()
        weights.append(layer.weight.detach().clone())
        optimizer.step()
        gradients.append(layer.weight.grad)
        layer.weight.sum().item()
    assert sum(map(is_late, gradients)) > 4
    other = model(flambeau)
    for weight, grad, batch in zip(weights, gradients, batches):
        with flambeau.no_grad():
            other.weight.copy_(weight)
        other.weight.grad = None
        loss_of(other, batch).backward()
        np.testing.assert_allclose(grad.numpy(), other.weight.grad.numpy(), 1e-5, 1e-7)


def test_another_thread_looks() -> None:
    """Several threads read one gradient while training goes on."""
    layer = model(flambeau)
    optimizer, batches = optimizer_of(layer), steps(flambeau, 24, 11)
    found: list[tuple[int, Any]] = []
    kept: list[Any] = []
    readers = []
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss_of(layer, batch).backward()
        optimizer.step()
        layer.weight.sum().item()
        kept.append(layer.weight.grad)
        if number % 8 == 7:
            for _ in range(3):
                work = threading.Thread(
                    target=lambda n=number, g=kept[-1]: found.append((n, g.numpy().copy()))
                )
                work.start()
                readers.append(work)
    for work in readers:
        work.join()
    assert len(found) == 9
    for number, numbers in found:
        np.testing.assert_array_equal(numbers, kept[number].numpy())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("looks", [0, 5])
def test_compiled_steps(count: int, looks: int, threads: Any) -> None:
    layer, other = model(flambeau), model(flambeau)
    optimizers = [optimizer_of(m, "momentum") for m in (layer, other)]

    def step(batch: Any) -> Any:
        optimizers[0].zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        optimizers[0].step()
        return loss

    kept = flambeau.compile(step)
    threads(count)
    for number, batch in enumerate(steps(flambeau, 16, 12)):
        loss = kept(batch).item()
        (expected,) = plain(flambeau, other, optimizers[1], [batch])
        assert loss == pytest.approx(expected, rel=1e-6)
        if looks and number % looks == 0:
            found, written = layer.weight.grad.numpy(), other.weight.grad.numpy()
            np.testing.assert_allclose(found, written, 1e-5, 1e-7)
    assert looks or is_late(layer.weight.grad)
    np.testing.assert_allclose(layer.weight.grad.numpy(), other.weight.grad.numpy(), 1e-5, 1e-7)
    np.testing.assert_allclose(
        layer.weight.detach().numpy(), other.weight.detach().numpy(), 1e-6, 1e-7
    )


def test_a_compiled_function_that_returns_gradients() -> None:
    layer = model(flambeau)

    def step(batch: Any) -> Any:
        loss = loss_of(layer, batch)
        (grad,) = flambeau.autograd.grad(loss, layer.weight)
        with flambeau.no_grad():
            layer.weight -= 0.5 * grad
        return grad

    kept, other = flambeau.compile(step), model(flambeau)
    gradients = [kept(batch) for batch in steps(flambeau, 6, 13)]
    for batch, grad in zip(steps(flambeau, 6, 13), gradients):
        other.weight.grad = None
        loss_of(other, batch).backward()
        np.testing.assert_allclose(grad.numpy(), other.weight.grad.numpy(), 1e-4, 1e-6)
        with flambeau.no_grad():
            other.weight -= 0.5 * other.weight.grad


def test_no_memory_for_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look fails; a later one does not."""
    from flambeau.record import late

    layer = model(flambeau)
    plain(flambeau, layer, optimizer_of(layer), steps(flambeau, width=14))
    grad = layer.weight.grad
    assert is_late(grad)

    def none(nbytes: int) -> Any:
        raise no_memory(nbytes)

    with monkeypatch.context() as patch:
        patch.setattr(late, "allocate", none)
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            grad.numpy()
    assert is_late(grad)
    assert grad.numpy().any()
