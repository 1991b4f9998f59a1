"""What autograd knows changes: flags, hooks, modes, graphs and gradients."""

from __future__ import annotations

from typing import Any

from tests.record.adversarial.cases import STEPS, batch, case, network, numbers, step, weights


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
