"""Models and optimizers are changed while they train."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from tests.record.adversarial.cases import STEPS, batch, case, network, numbers, step, weights


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
