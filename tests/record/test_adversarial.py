"""Programs made to fool recognition: each is the same code path over and over, with something else
different every time.

Each case is a function of the library; it runs recorded, op by op (FLAMBEAU_SYNC=1) and under
PyTorch, and what it gives must be the same in all three.
"""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from tests.pressure import TIMES
from tests.programs.modes import mode

Case = Callable[[Any], Any]
CASES: dict[str, Case] = {}
STEPS = 8


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(t: Any, seed: int = 0, width: int = 4) -> Any:
    nn = t.nn
    model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))
    with t.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(t.tensor(numbers(seed + place, *parameter.shape)))
    return model


def batch(t: Any, seed: int, rows: int = 5) -> tuple[Any, Any]:
    return t.tensor(numbers(seed, rows, 3)), t.tensor(numbers(seed + 1000, rows, 1))


def weights(model: Any) -> list[float]:
    return [v for p in model.parameters() for v in p.detach().flatten().tolist()]


def step(t: Any, model: Any, update: Any, seed: int, rows: int = 5) -> float:
    x, y = batch(t, seed, rows)
    update.zero_grad()
    loss = ((model(x) - y) ** 2).mean()
    loss.backward()
    update.step()
    return float(loss.item())


# ---- tensors that look alike ---------------------------------------------------------------------


@case
def views_of_one_memory(t: Any) -> Any:
    base = t.tensor(numbers(0, 6, 6))
    seen = []
    for k in range(12):
        rows = (base[:3, :3], base[3:, 3:], base.t()[:3, :3], base[::2, ::2], base[1:4, 2:5])
        x, y = rows[k % 5], rows[(k * 3 + 1) % 5]
        x.mul_(0.9)
        y.add_(0.1 * k) if k % 2 else y.sub_(x.clone())
        seen.append(base.sum().item() if k % 3 == 0 else None)
    return seen, base.tolist()


@case
def one_argument_twice(t: Any) -> Any:
    def update(a: Any, b: Any) -> Any:
        a.add_(b)
        b.mul_(0.5)
        return (a * b).sum()

    one, two = t.ones(3), t.full((3,), 2.0)
    pairs = [(one, two), (one, one), (one, one[:]), (two, one.view(3)), (one.detach(), one)]
    return [update(*pairs[k % 5]).item() for k in range(15)], one.tolist(), two.tolist()


@case
def strides_and_dtypes_change(t: Any) -> Any:
    data = numbers(1, 4, 4)
    forms = [
        lambda x: x,
        lambda x: x.t(),
        lambda x: x.double(),
        lambda x: x[:, ::2].repeat(1, 2),
        lambda x: x.flip(0),
        lambda x: x.half().float(),
        lambda x: x[0].expand(4, 4),
    ]
    found = []
    for k in range(14):
        x = forms[k % 7](t.tensor(data)).requires_grad_(True)
        y = (x * x).sum()
        y.backward()
        found.append((str(x.dtype).split(".")[-1], y.item(), x.grad.stride(), x.grad.tolist()))
    return found


@case
def storage_swapped_by_data(t: Any) -> Any:
    w = t.tensor(numbers(2, 4), requires_grad=True)
    found = []
    for k in range(STEPS):
        if k % 3 == 2:
            w.data = t.tensor(numbers(k, 4 + k % 2))
            w.grad = None
        loss = (w * w).sum()
        loss.backward()
        w.data.sub_(0.1 * w.grad)
        w.grad = None
        del loss  # PyTorch keeps w's old size as long as a graph does
        found.append(w.tolist())
    return found


@case
def set_and_resize(t: Any) -> Any:
    a, b = t.tensor(numbers(3, 4)), t.tensor(numbers(4, 4))
    found = []
    for k in range(STEPS):
        c = t.empty(0)
        c.set_(a if k % 2 else b)
        c.mul_(1.5)
        found.append((a.tolist(), b.tolist(), (a + b).sum().item()))
    return found


# ---- what autograd knows -------------------------------------------------------------------------


@case
def requires_grad_flips(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = []
    for k in range(STEPS):
        for place, parameter in enumerate(model.parameters()):
            parameter.requires_grad_((k + place) % 3 != 0)
        found.append(step(t, model, update, k))
        found.append([p.grad is None for p in model.parameters()])
    return found, weights(model)


@case
def hooks_come_and_go(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1)
    found: list[Any] = []
    handles: list[Any] = []
    for k in range(12):
        if k == 2:
            handles.append(model[0].weight.register_hook(lambda g: g * 10))
        if k == 4:
            handles.append(model[1].register_forward_hook(lambda m, i, o: o * 2))
        if k == 5:
            handles.append(model.register_full_backward_hook(lambda m, i, o: found.append("back")))
        if k == 7:
            handles.pop(0).remove()
        if k == 8:
            handles.append(
                model[0].weight.register_post_accumulate_grad_hook(
                    lambda p: found.append(round(p.grad.sum().item(), 3))
                )
            )
        if k == 10:
            for handle in handles:
                handle.remove()
        found.append(step(t, model, update, k))
    return found, weights(model)


@case
def grad_mode_flips(t: Any) -> Any:
    w = t.tensor(numbers(5, 3), requires_grad=True)
    found = []
    for k in range(12):
        with t.set_grad_enabled(k % 3 != 0):
            y = (w * 3).sin()
        with t.inference_mode() if k % 4 == 0 else t.enable_grad():
            z = y.detach() * 2 if k % 4 == 0 else y * 2
        found.append((y.requires_grad, z.requires_grad, z.sum().item()))
        if z.requires_grad:
            z.sum().backward()
            found.append(w.grad.tolist())
    return found


@case
def graphs_kept_and_not(t: Any) -> Any:
    w = t.tensor(numbers(6, 3), requires_grad=True)
    found: list[Any] = []
    kept: list[Any] = []
    for k in range(12):
        loss = (w.exp() * (k + 1)).sum()
        loss.backward(retain_graph=k % 2 == 0)
        if k % 3 == 0:
            kept.append(loss)
        if k % 4 == 3:
            try:
                kept[-1].backward()
                found.append("again")
            except RuntimeError:
                found.append("freed")
        found.append(w.grad.tolist())
        if k % 5 == 4:
            w.grad = None
    return found


@case
def double_backward_now_and_then(t: Any) -> Any:
    w = t.tensor(numbers(7, 3), requires_grad=True)
    found = []
    for k in range(STEPS):
        (g,) = t.autograd.grad((w**3).sum(), w, create_graph=k % 2 == 0)
        if k % 2 == 0:
            (g * g).sum().backward()
            found.append(w.grad.tolist())
            w.grad = None
        with t.no_grad():
            w -= 0.01 * g.detach()
    return found, w.tolist()


@case
def gradients_written_by_hand(t: Any) -> Any:
    model = network(t)
    update = t.optim.Adam(model.parameters(), lr=0.05)
    for k in range(STEPS):
        x, y = batch(t, k)
        update.zero_grad(set_to_none=k % 2 == 0)
        ((model(x) - y) ** 2).sum().backward()
        first = model[0].weight
        if k == 3:
            first.grad = None
        elif k == 5:
            first.grad = t.ones_like(first)
        elif k % 2:
            first.grad.clamp_(-0.1, 0.1)
        update.step()
    return weights(model)


@case
def accumulation_of_uneven_length(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    found = []
    for k in range(12):
        x, y = batch(t, k, 1 + k % 3)
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        if k in (1, 2, 6, 7, 8, 11):
            update.step()
            update.zero_grad()
        found.append(loss.item())
    return found, weights(model)


# ---- models and optimisers changed while they train ----------------------------------------------


@case
def parameters_replaced(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = []
    for k in range(STEPS):
        if k == 3:
            model[0].weight = t.nn.Parameter(t.tensor(numbers(9, 4, 3)))  # not the optimiser's
        if k == 5:
            update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        found.append(step(t, model, update, k))
    return found, weights(model)


@case
def modules_edited(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for k in range(12):
        if k == 2:
            model[1] = t.nn.ReLU()
        if k == 4:
            model.append(t.nn.Sigmoid())
        if k == 6:
            del model[3]
        if k == 7:
            model[1].forward = lambda x: x * 0.5
        if k == 9:
            model[1].__class__ = t.nn.Sigmoid
            del model[1].forward
        found.append(step(t, model, update, k))
    return found, weights(model)


@case
def train_and_eval_flip(t: Any) -> Any:
    nn = t.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.0), nn.Linear(4, 1))
    with t.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(t.tensor(numbers(place, *parameter.shape)))
    update = t.optim.SGD(model.parameters(), lr=0.05)
    found = []
    for k in range(12):
        model.train(k % 3 != 1)
        if k == 6:
            model[1].momentum = None
        found.append(step(t, model, update, k))
    return found, model[1].running_mean.tolist(), model[1].num_batches_tracked.item()


@case
def parameter_groups_changed(t: Any) -> Any:
    model = network(t)
    extra = t.nn.Parameter(t.tensor(numbers(4, 1)))
    update = t.optim.AdamW(model[0].parameters(), lr=0.1)
    found = []
    for k in range(12):
        if k == 2:
            update.add_param_group({"params": list(model[2].parameters()), "lr": 0.01})
        if k == 4:
            update.param_groups[0]["lr"] = 0.02
        if k == 5:
            update.param_groups[1]["weight_decay"] = 0.5
        if k == 7:
            update.param_groups[0]["betas"] = (0.5, 0.9)
        if k == 8:
            update.add_param_group({"params": [extra]})
        if k == 10:
            update.param_groups[0]["params"].pop()
        x, y = batch(t, k)
        update.zero_grad()
        loss = ((model(x) * extra - y) ** 2).mean()
        loss.backward()
        update.step()
        found.append(loss.item())
    return found, weights(model), extra.tolist()


@case
def states_loaded_in_the_middle(t: Any) -> Any:
    model = network(t)
    update = t.optim.Adam(model.parameters(), lr=0.05)
    found = []
    kept: Any = None
    for k in range(14):
        if k == 3:
            kept = copy.deepcopy((model.state_dict(), update.state_dict()))
        if k in (6, 10):
            model.load_state_dict(kept[0])
            update.load_state_dict(kept[1])
        found.append(step(t, model, update, k))
    return found, weights(model), kept[0]["0.bias"].tolist()


@case
def state_dict_is_an_alias(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1)
    alias = model.state_dict()
    found = []
    for k in range(STEPS):
        found.append(step(t, model, update, k))
        if k % 3 == 1:
            alias["0.weight"].mul_(0.9)
        found.append(alias["2.weight"].tolist())
    return found, weights(model)


@case
def copies_in_the_middle(t: Any) -> Any:
    model = network(t)
    update = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    models, found = [], []
    for k in range(STEPS):
        found.append(step(t, model, update, k))
        if k % 3 == 1:
            model, update = copy.deepcopy((model, update))
            models.append(model)
    return found, [weights(m) for m in models]


@case
def pickled_in_the_middle(t: Any) -> Any:
    w = t.tensor(numbers(8, 4), requires_grad=True)
    found = []
    for k in range(STEPS):
        (w.sin() * k).sum().backward()
        with t.no_grad():
            w -= 0.1 * w.grad
        if k % 3 == 2:
            w = pickle.loads(pickle.dumps(w))
        w.grad = None
        found.append(w.tolist())
    return found


@case
def two_models_interleaved(t: Any) -> Any:
    one, two = network(t, 0), network(t, 50)
    updates = [t.optim.SGD(m.parameters(), lr=0.1, momentum=0.9) for m in (one, two)]
    found = []
    for k in range(12):
        which = (k * k + k // 2) % 2
        found.append(step(t, (one, two)[which], updates[which], k))
        if k % 4 == 3:
            with t.no_grad():
                for a, b in zip(one.parameters(), two.parameters()):
                    a.lerp_(b, 0.5)
    return found, weights(one), weights(two)


@case
def shared_parameters_come_apart(t: Any) -> Any:
    one, two = t.nn.Linear(3, 3), t.nn.Linear(3, 3)
    with t.no_grad():
        for place, p in enumerate([*one.parameters(), *two.parameters()]):
            p.copy_(t.tensor(numbers(place, *p.shape)))
    own = two.weight
    found = []
    for k in range(STEPS):
        two.weight = one.weight if k % 3 else own
        loss = (two(one(t.tensor(numbers(k, 2, 3)))) ** 2).mean()
        for p in (one.weight, own):
            p.grad = None
        loss.backward()
        with t.no_grad():
            for p in (one.weight, own):
                if p.grad is not None:
                    p -= 0.1 * p.grad
        found.append(loss.item())
    return found, one.weight.tolist(), own.tolist()


# ---- what the program around it does -------------------------------------------------------------


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


# ---- the comparison ------------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or abs(a - b) <= 1e-5 + 1e-4 * abs(a)
    return bool(a == b)


def difference(a: Any, b: Any, path: str = "") -> str:
    """Where two outcomes differ first."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        found = (difference(x, y, f"{path}[{n}]") for n, (x, y) in enumerate(zip(a, b)))
        return next((one for one in found if one), "")
    return "" if same(a, b) else f"{path}: {a} and {b}"


@pytest.mark.parametrize("name", CASES)
def test_recorded_is_op_by_op(name: str) -> None:
    with mode("sync"):
        wanted = CASES[name](flambeau)
    for way in ("recognised", "recognised", *(["compiled"] if TIMES > 1 else [])):
        with mode(way):
            assert not difference(wanted, CASES[name](flambeau)), way


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = CASES[name](torch)
    for _ in range(2):
        with mode("recognised"):
            assert not difference(wanted, CASES[name](flambeau))
