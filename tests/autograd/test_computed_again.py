"""torch.utils.checkpoint: what a function has computed is computed again, not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import compiled
from flambeau.record.options import OPTIONS
from flambeau.utils.checkpoint import checkpoint, checkpoint_sequential

Function = Callable[[Any, Any, Any], Any]
ROWS, WIDTH = 48, 32  # more than what is kept for being small
FUNCTIONS: dict[str, Function] = {}


def function(made: Function) -> Function:
    FUNCTIONS[made.__name__] = made
    return made


@function
def layers(t: Any, x: Any, w: Any) -> Any:
    h = t.nn.functional.gelu(x @ w)
    return t.nn.functional.layer_norm(h, (WIDTH,)) @ w.t() + x


@function
def dropouts(t: Any, x: Any, w: Any) -> Any:
    h = t.nn.functional.dropout(t.tanh(x @ w), 0.3)
    return t.nn.functional.dropout(h @ w, 0.5).sigmoid() * h


@function
def views_and_writes(t: Any, x: Any, w: Any) -> Any:
    h = x * w.mean()
    part = h[:, 1:]
    part.mul_(0.5).add_(w[0, 1:])
    h.t()[3] = 0.25
    return h.reshape(WIDTH, ROWS).t() * h.mean()


@function
def pooled(t: Any, x: Any, w: Any) -> Any:
    image = (x * 2).reshape(1, 2, 24, 32)
    kernel = w[:18].reshape(-1)[:36].reshape(2, 2, 3, 3)
    h = t.nn.functional.conv2d(image, kernel, padding=1)
    return t.nn.functional.max_pool2d(t.relu(h), 2).repeat(1, 2, 2, 1).reshape(ROWS, WIDTH)


@function
def attention(t: Any, x: Any, w: Any) -> Any:
    q, k, v = x @ w, x * 2, x @ w.t()
    scores = (q @ k.t() / WIDTH).softmax(-1)
    return scores @ v


@function
def places(t: Any, x: Any, w: Any) -> Any:
    order = x[:, 0].argsort()
    return w[order % WIDTH] * x[order] + x.cumsum(0).sort(0)[0]


@function
def of_parameters_alone(t: Any, x: Any, w: Any) -> Any:
    v = (w * w).exp() / (w * w).exp().sum()
    return x + v.sum(0)


@function
def part_without_gradient(t: Any, x: Any, w: Any) -> Any:
    with t.no_grad():
        scale = (x * x).mean(0, keepdim=True).expand(ROWS, WIDTH).sqrt()
    return x / (scale + 1) * (x.detach() @ w).cos()


def trained(t: Any, make: Function, again: Any, look: bool = False, steps: int = 3) -> list[Any]:
    """Losses and gradients of three functions one after another, step by step."""
    rng = np.random.default_rng(0)
    x = t.tensor(rng.standard_normal((ROWS, WIDTH)).astype(np.float32), requires_grad=True)
    w = t.tensor(rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 6, requires_grad=True)
    t.manual_seed(3)
    found: list[Any] = []
    for _ in range(steps):
        h = x * 1
        for _ in range(3):
            h = again(lambda a, b: make(t, a, b), h, w)
        loss = (h * h).mean()
        if look:
            found.append(loss.item())
        loss.backward()
        found += [loss.item(), x.grad.tolist(), w.grad.tolist(), t.rand(2).tolist()]
        x.grad = w.grad = None
    return found


def plainly(made: Any, *args: Any) -> Any:
    return made(*args)


def again(made: Any, *args: Any) -> Any:
    return checkpoint(made, *args, use_reentrant=False)


def again_reentrant(made: Any, *args: Any) -> Any:
    return checkpoint(made, *args, use_reentrant=True)


def nested(made: Any, *args: Any) -> Any:
    return again(lambda *inner: again(made, *inner) * 1, *args)


def close(a: Any, b: Any) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(np.array(x), np.array(y), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_without_it(name: str, look: bool) -> None:
    wanted = trained(flambeau, FUNCTIONS[name], plainly, look)
    for way in (again, again_reentrant, nested):
        close(trained(flambeau, FUNCTIONS[name], way, look), wanted)


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_each_executor(name: str, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = trained(flambeau, FUNCTIONS[name], plainly)
    monkeypatch.setattr(OPTIONS, "executor", executor)
    close(trained(flambeau, FUNCTIONS[name], again), wanted)


@pytest.mark.parity
@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_in_pytorch(name: str, look: bool) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint as original

    def there(made: Any, *args: Any) -> Any:
        return original(made, *args, use_reentrant=False)

    close(
        trained(flambeau, FUNCTIONS[name], again, look),
        trained(torch, FUNCTIONS[name], there, look),
    )


@pytest.mark.parametrize("look", [False, True])
def test_second_derivatives(look: bool) -> None:
    def second(way: Any) -> list[float]:
        rng = np.random.default_rng(1)
        x = flambeau.tensor(rng.standard_normal((ROWS, WIDTH)), requires_grad=True)
        w = flambeau.tensor(rng.standard_normal((WIDTH, WIDTH)) / 6, requires_grad=True)
        h = way(lambda a, b: layers(flambeau, a, b).sin(), x, w)
        if look:
            h.sum().item()
        (first,) = flambeau.autograd.grad(h.square().sum(), x, create_graph=True)
        if look:
            first.sum().item()
        (first * first).sum().backward()
        found: list[float] = [*x.grad.flatten().tolist(), *w.grad.flatten().tolist()]
        return found

    np.testing.assert_allclose(second(again), second(plainly), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("look", [False, True])
def test_python_code_on_the_way(look: bool) -> None:
    class Doubled(flambeau.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return 2 * ct * ctx.saved_tensors[0]

    seen: list[float] = []

    def made(t: Any, x: Any, w: Any) -> Any:
        h = Doubled.apply((x @ w).tanh())
        h.register_hook(lambda g: seen.append(float(g.sum())))
        return h.exp() * x

    wanted = trained(flambeau, made, plainly, look)
    called, seen = seen, []
    close(trained(flambeau, made, again, look), wanted)
    np.testing.assert_allclose(seen, called, rtol=1e-4)


def test_a_look_within() -> None:
    def made(t: Any, x: Any, w: Any) -> Any:
        h = (x @ w).tanh()
        return h * 2 if h.sum().item() > 0 else h * 3

    close(trained(flambeau, made, again), trained(flambeau, made, plainly))


def test_an_error_ends_it() -> None:
    x = flambeau.ones(ROWS, WIDTH, requires_grad=True)

    def fails(x: Any) -> Any:
        raise KeyError("the user's own")

    with pytest.raises(KeyError):
        again(fails, x)
    h = (x * 2).exp()
    (h * h).sum().item()
    assert sum(kept_bytes(h)) >= ROWS * WIDTH * 4  # as always


def kept_bytes(result: Any) -> list[int]:
    """The bytes of what the program that has made a result keeps for a pass."""
    frame = result._origin[0] if result._origin is not None else result._family.frame
    return [value.size * value.dtype.itemsize for value in frame.saved]


def test_little_is_kept() -> None:
    def kept(way: Any) -> int:
        x = flambeau.randn(ROWS, WIDTH).requires_grad_()
        w = flambeau.randn(WIDTH, WIDTH).requires_grad_()
        h = x
        for _ in range(4):
            h = way(lambda a, b: layers(flambeau, a, b).tanh().exp().sin(), h, w)
        h.sum().item()
        return sum(kept_bytes(h))

    assert kept(again) < 0.4 * kept(plainly)


def test_programs_need_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    begin = compiled.CompiledProgram.__init__

    def begun(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        found.append(self.arena_bytes)

    monkeypatch.setattr(compiled.CompiledProgram, "__init__", begun)
    monkeypatch.setattr(OPTIONS, "executor", "compiled")

    def most(way: Any, width: int) -> int:
        found.clear()
        model = flambeau.nn.ModuleList(
            flambeau.nn.Sequential(
                flambeau.nn.Linear(width, 4 * width),
                flambeau.nn.Tanh(),
                flambeau.nn.Linear(4 * width, width),
                flambeau.nn.Tanh(),
            )
            for _ in range(8)
        )
        h = flambeau.randn(512, width)
        for block in model:
            h = way(block, h)
        h.sum().backward()
        assert model[0][0].weight.grad.isfinite().all()
        return max(found)

    assert most(again, 24) < 0.5 * most(plainly, 24)


def test_statistics_count_a_batch_once() -> None:
    layer = flambeau.nn.BatchNorm1d(WIDTH)
    x = flambeau.randn(ROWS, WIDTH, requires_grad=True)
    again(lambda v: layer(v).tanh(), x).sum().backward()
    assert layer.num_batches_tracked.item() == 1


def test_sequential() -> None:
    flambeau.manual_seed(0)
    model = flambeau.nn.Sequential(*[flambeau.nn.Linear(WIDTH, WIDTH) for _ in range(5)])
    x = flambeau.randn(ROWS, WIDTH, requires_grad=True)
    model(x).square().sum().backward()
    wanted, x.grad = x.grad, None
    checkpoint_sequential(model, 2, x, use_reentrant=False).square().sum().backward()
    flambeau.testing.assert_close(x.grad, wanted)
