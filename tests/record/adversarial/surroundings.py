"""What the program around a step does: exceptions, generators, the collector, other code."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.record.adversarial.cases import STEPS, batch, case, network, numbers, step, weights


@case
def exceptions_half_way(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found: list[Any] = []
    for k in range(14):
        x, y = batch(t, k)
        try:
            update.zero_grad()
            h = model[0](x)
            if k % 4 == 1:
                h = h @ t.ones(5, 5)  # wrong shapes
            out = model[2](model[1](h))
            if k % 5 == 3:
                raise KeyError("the user's own")
            loss = ((out - y) ** 2).mean()
            loss.backward()
            if k % 7 == 6:
                raise KeyError("before the step")
            update.step()
            found.append(loss.item())
        except (RuntimeError, KeyError) as error:
            found.append(type(error).__name__)
    return found, weights(model)


@case
def errors_in_hooks(t: Any) -> Any:
    w = t.tensor(numbers(3, 3), requires_grad=True)
    found: list[Any] = []

    def refuse(g: Any) -> Any:
        raise ValueError("no")

    for k in range(STEPS):
        y = w * 2
        if k % 3 == 1:
            y.register_hook(refuse)
        try:
            (y * y).sum().backward()
        except ValueError:
            found.append("refused")
        found.append(None if w.grad is None else w.grad.tolist())
    return found


@case
def generators_with_modes(t: Any) -> Any:
    w = t.tensor(numbers(4, 2), requires_grad=True)

    def batches(count: int) -> Iterator[Any]:
        for k in range(count):
            with t.no_grad():
                made = w * (k + 1)
            yield made

    found = []
    for k in range(6):
        for made in batches(1 + k % 3):
            loss = (w * made).sum()
            loss.backward()
            found.append((made.requires_grad, loss.requires_grad))
        with t.no_grad():
            w -= 0.01 * w.grad
        w.grad = None
    return found, w.tolist()


@case
def recursion_of_uneven_depth(t: Any) -> Any:
    w = t.tensor(numbers(5, 3, 3), requires_grad=True)

    def tree(depth: int, x: Any) -> Any:
        if depth == 0:
            return x
        return t.tanh(tree(depth - 1, x) @ w + (tree(depth - 2, x) if depth > 1 else 0))

    found = []
    for k in range(10):
        loss = tree((3, 1, 4, 2)[k % 4], t.tensor(numbers(k, 2, 3))).square().mean()
        w.grad = None
        loss.backward()
        with t.no_grad():
            w -= 0.1 * w.grad
        found.append(loss.item())
    return found, w.tolist()


@case
def branches_on_values(t: Any) -> Any:
    x = t.tensor(numbers(6, 4))
    found = []
    for k in range(20):
        if (x.sum() > 0) != (k % 3 == 0):
            x = x - 0.3
        else:
            x = x.abs() * (0.9 if x[0] > 0.5 else 1.1)
        if x.max() > 3:
            x = x / 2
        found.append(x.sum().item() if k % 4 == 0 else bool((x > 0).any()))
    return found, x.tolist()


@case
def collected_at_odd_moments(t: Any) -> Any:
    gc.collect()
    gc.freeze()  # what other tests have left is not looked through again at each collection
    model = network(t)
    update = t.optim.Adam(model.parameters(), lr=0.05)
    found = []
    for k in range(STEPS):
        x, y = batch(t, k)
        update.zero_grad()
        h = model[1](model[0](x))
        gc.collect()
        loss = ((model[2](h) - y) ** 2).mean()
        cycle: list[Any] = [h]
        cycle.append(cycle)
        del h, cycle
        gc.collect(k % 3)
        loss.backward()
        gc.collect()
        update.step()
        found.append(loss.item())
    gc.unfreeze()
    return found, weights(model)


@case
def weak_references(t: Any) -> Any:
    w = t.tensor(numbers(7, 3), requires_grad=True)
    found: list[Any] = []
    for k in range(STEPS):
        y = w * 2
        seen = weakref.ref(y)
        z = y.exp()
        if k % 2:
            del y
        again = seen() if k % 2 == 0 else None  # what is pending is held by the recording
        if again is not None:
            z = z + again
        z.sum().backward()
        found.append(w.grad.tolist())
        w.grad = None
    return found


@case
def finalizers_compute(t: Any) -> Any:
    found: list[Any] = []

    class Noisy:
        def __init__(self, value: Any) -> None:
            self.value = value

        def __del__(self) -> None:
            found.append((self.value * 2).sum().item())

    x = t.tensor(numbers(8, 3))
    for k in range(STEPS):
        noisy = Noisy(x + k)
        y = x * 2 + noisy.value
        del noisy
        x = y / 3
        found.append(x.sum().item() if k % 3 == 0 else None)
    return found


@case
def written_through_numpy(t: Any) -> Any:
    w = t.tensor(numbers(9, 4), requires_grad=True)
    seen = w.detach().numpy()
    given = numbers(10, 4)
    x = t.from_numpy(given)
    found = []
    for k in range(STEPS):
        w.grad = None
        loss = (w * x).sin().sum()
        loss.backward()  # before the next write: PyTorch would differentiate at what is there now
        if k % 2:
            given[k % 4] += 1
        with t.no_grad():
            w -= 0.1 * w.grad
        if k % 3 == 0:
            seen[:2] *= 0.5
        found.append((loss.item(), seen.tolist(), x.tolist()))
    return found, w.tolist()


@case
def default_dtype_changes(t: Any) -> Any:
    found = []
    try:
        for k in range(STEPS):
            t.set_default_dtype(t.float64 if k % 3 == 1 else t.float32)
            x = t.ones(3) / 3
            y = t.arange(3) / 7 + x.sum()
            z = t.tensor([0.1, 0.2, 0.3]) * y
            found.append((str(z.dtype).split(".")[-1], z.tolist(), str((t.ones(2) > 0).dtype)[-4:]))
            for made in (t.arange(3).sqrt(), t.arange(3) + 0.5, t.add(1, 2.5), t.div(1, 3)):
                found.append((str(made.dtype).split(".")[-1], made.tolist()))
    finally:
        t.set_default_dtype(t.float32)
    return found


@case
def seeds_in_the_middle(t: Any) -> Any:
    t.manual_seed(4)
    drop = t.nn.Dropout(0.5)
    found = []
    for k in range(12):
        if k % 5 == 3:
            t.manual_seed(k)
        state = t.get_rng_state() if k % 4 == 0 else None
        x = t.rand(3) + drop(t.ones(3))
        if state is not None and k % 8 == 0:
            t.set_rng_state(state)
        with t.random.fork_rng():
            t.randn(5)
        found.append(x.tolist())
    return found


@case
def scalars_of_many_kinds(t: Any) -> Any:
    x, n = t.tensor(numbers(11, 3)), t.tensor([1, 2, 3])
    kinds: list[Any] = [2, 2.0, True, np.float32(2), np.int64(2), t.tensor(2), t.tensor(2.0), -0.0]
    found = []
    for k in range(24):
        s = kinds[k % 8]
        for y in (x * s, n * s, n + s, x.clone().mul_(s), s + x):
            found.append((str(y.dtype).split(".")[-1], y.tolist()))
    return found


@case
def scalars_that_change_the_code(t: Any) -> Any:
    x = t.tensor(numbers(12, 4)).abs()
    found = []
    for k in range(12):
        p = (2, 0.5, 1, 0, -1, 3.0)[k % 6]
        found.append((x**p).tolist())
        found.append(t.clamp(x, min=p if k % 2 else None, max=1.5).tolist())
        found.append(x.sum(dim=0 if k % 3 else None, keepdim=k % 3 == 1).shape)
        found.append(t.nn.functional.leaky_relu(x - 1, 0.1 * k).tolist())
    return found


@case
def liveness_changes(t: Any) -> Any:
    kept: list[Any] = []
    found = []
    w = t.tensor(numbers(13, 3), requires_grad=True)
    for k in range(14):
        h = (w * (k + 1)).tanh()
        g = h * h
        z = g.sum()
        if k % 3 == 0:
            kept.append(h)
        if k % 4 == 1:
            kept.append(g[1:])
        if k % 5 == 2 and kept:
            kept.pop(0)
        found.append(z.item())
        if k % 6 == 5:
            found.append([one.tolist() for one in kept])
            sum(one.sum() for one in kept).backward()
            found.append(w.grad.tolist())
            w.grad = None
            kept.clear()
    return found


@case
def custom_functions(t: Any) -> Any:
    class Scaled(t.autograd.Function):  # type: ignore[name-defined,misc]
        factor = 2.0

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            ctx.factor = Scaled.factor
            return x * Scaled.factor

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * ctx.factor * (1 + x)

    w = t.tensor(numbers(14, 3), requires_grad=True)
    found = []
    for k in range(STEPS):
        Scaled.factor = (2.0, 3.0, 2.0)[k % 3]
        w.grad = None
        Scaled.apply(w).sum().backward()
        found.append(w.grad.tolist())
    return found


@case
def batches_of_other_sizes(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return [step(t, model, update, k, (5, 5, 2, 5, 1, 7)[k % 6]) for k in range(18)], weights(model)


@case
def schedules_and_closures(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1)
    schedule = t.optim.lr_scheduler.StepLR(update, 3, 0.5)
    found = []
    for k in range(12):
        x, y = batch(t, k)

        def closure(x: Any = x, y: Any = y) -> Any:
            update.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            return loss

        loss = update.step(closure) if k % 2 else closure()
        if k % 2 == 0:
            update.step()
        schedule.step()
        found.append((loss.item(), update.param_groups[0]["lr"]))
    return found, weights(model)


@case
def views_written_between_forward_and_backward(t: Any) -> Any:
    w = t.tensor(numbers(15, 4), requires_grad=True)
    found: list[Any] = []
    for k in range(12):
        h = w * 2
        part = h[: 2 + k % 2]
        y = h.exp() if k % 3 else h * h
        if k % 4 == 1:
            part.mul_(2)
        if k % 4 == 2:
            h.detach().add_(1)
        try:
            y.sum().backward()
            found.append(w.grad.tolist())
        except RuntimeError:
            found.append("modified")
        w.grad = None
    return found
