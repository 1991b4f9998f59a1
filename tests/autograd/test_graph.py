"""Backward functions as they can be looked at: the same trees as PyTorch's, and hooks."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import flambeau

from .both import check, leaves

pytestmark = pytest.mark.parity


def walked(node: Any, depth: int = 0) -> list[Any]:
    """The tree under a backward function, as (depth, output, name, shape of the leaf)."""
    lines = []
    for function, output in node.next_functions if depth < 12 else ():
        if function is None:
            lines.append([depth, output, None])
            continue
        leaf = getattr(function, "variable", None)
        lines.append([depth, output, function.name(), None if leaf is None else list(leaf.shape)])
        lines += walked(function, depth + 1)
    return lines


def cases(torch: Any, seen: Any) -> dict[str, Any]:
    """The programs, by name; what they return and pass to `seen` is compared."""
    functional = importlib.import_module(torch.__name__ + ".nn.functional")
    leaf = leaves(torch)
    w = torch.stack([leaf(), leaf()], 1).detach().requires_grad_()
    b = leaf(0.5, 0.25)
    x = torch.ones(4, 3)
    ones = torch.ones(3, 2)
    table: dict[str, Any] = {}

    def shown(function: Any) -> Any:
        node = function().grad_fn
        return [node.name(), type(node).__name__, *walked(node)]

    trees = {
        "mlp": lambda: torch.relu(x @ w + b).sum(),
        "twice": lambda: (x @ w) * (x @ w),
        "numbers": lambda: (w * 3 + 1) / 2,
        "minus": lambda: 1 - w,
        "power": lambda: w**2,
        "linear": lambda: functional.linear(x, w.t(), b),
        "linear without bias": lambda: functional.linear(x, w.t()),
        "mse": lambda: functional.mse_loss(x @ w, torch.zeros(4, 2)),
        "in place": lambda: (x @ w).mul_(2).add_(b),
        "view": lambda: (x @ w)[0] * 2,
        "several outputs": lambda: sum((x @ w).unbind(1)),
        "maximum": lambda: (x @ w).max(1)[0],
        "cat": lambda: torch.cat([x @ w, w]),
        "stack": lambda: torch.stack([b, b]),
        "where": lambda: torch.where(w > 0, w, b),
        "gather": lambda: w.gather(0, torch.zeros(1, 2, dtype=torch.int64)),
        "expand": lambda: w.expand_as(w),
        "no grad in the middle": lambda: b * torch.no_grad()(lambda: b * 2)(),
    }
    for name, function in trees.items():
        table[name] = lambda function=function: shown(function)

    def case(function: Any) -> None:
        table[function.__name__] = function

    @case
    def across_programs() -> Any:
        y = torch.tanh(x @ w)
        s = y.sum()
        seen(s.item())
        t = (s * 2).exp()
        seen(t.item())
        return walked(t.grad_fn), t.grad_fn.name()

    @case
    def identity() -> Any:
        y = w * 2
        z = y.exp()
        node = z.grad_fn
        same = node is z.grad_fn, y.grad_fn is node.next_functions[0][0]
        return same, y.grad_fn.next_functions[0][0].variable is w, w.grad_fn

    @case
    def metadata() -> Any:
        y = w * 2
        y.grad_fn.metadata["k"] = 1
        return y.grad_fn.metadata

    @case
    def written_through_a_view() -> Any:
        y = x @ w
        y[0] = b
        return y.grad_fn.name(), walked(y.grad_fn)

    @case
    def hook_before() -> Any:
        y = w * 2
        z = y.exp()
        z.grad_fn.register_prehook(lambda gradients: (seen(gradients[0]), (gradients[0] * 3,))[1])
        w.grad = None
        z.sum().backward()
        return w.grad

    @case
    def hook_after_accumulation() -> Any:
        p = leaf()
        handle = p.register_post_accumulate_grad_hook(lambda q: seen(q is p, q.grad))
        (p * 2).sum().backward()
        (p * 2).sum().backward()
        seen(torch.autograd.grad((p * p).sum(), p))
        handle.remove()
        (p * 2).sum().backward()
        return p.grad

    @case
    def two_hooks_after_accumulation() -> Any:
        p = leaf()
        p.register_hook(lambda g: g * 5)
        p.register_post_accumulate_grad_hook(lambda q: seen("first", q.grad))

        def step(q: Any) -> None:
            with torch.no_grad():
                q -= 0.1 * q.grad
            q.grad = None

        p.register_post_accumulate_grad_hook(step)
        (p * 2).sum().backward()
        return p, p.grad

    @case
    def hook_after_accumulation_of_another() -> Any:
        return (b * 2).register_post_accumulate_grad_hook(print)

    @case
    def hook_after_accumulation_without_gradient() -> Any:
        return ones.register_post_accumulate_grad_hook(print)

    @case
    def kept_on_cpu() -> Any:
        p = leaf()
        with torch.autograd.graph.save_on_cpu():
            y = (p * p).sum()
        y.backward()
        return p.grad

    @case
    def hooks_on_saved_tensors() -> Any:
        p, q = leaf(), leaf()

        def pack(t: Any) -> Any:
            seen("pack")
            return t.detach().numpy() * 2

        def unpack(kept: Any) -> Any:
            seen("unpack")
            return torch.from_numpy(kept) / 2

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            y = (p * q).sum()
        y.backward()
        return p.grad, q.grad

    @case
    def a_network_with_hooks_on_saved_tensors() -> Any:
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.GELU(), torch.nn.Linear(4, 2)
        )
        packed: list[Any] = []

        def pack(t: Any) -> Any:
            packed.append(t.detach())
            return len(packed) - 1

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda place: packed[place]):
            values, _ = net(x).softmax(1).max(1)
            loss = torch.nn.functional.mse_loss(values, torch.zeros(4)) + values.exp().mean()
        seen(len(packed) > 4)
        loss.backward()
        return [p.grad for p in net.parameters()]

    @case
    def hooks_on_what_functions_save() -> Any:
        class Square(torch.autograd.Function):  # type: ignore[misc,name-defined]
            @staticmethod
            def forward(ctx: Any, t: Any) -> Any:
                ctx.save_for_backward(t, None)
                return t * t

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * 2 * ctx.saved_tensors[0]

        p = leaf()
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t * 3, lambda t: t)
        with hooks:
            y = Square.apply(p)
        y.sum().backward()
        return p.grad

    @case
    def unpacked_to_no_tensor() -> Any:
        p = leaf()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 1):
            y = (p * p).sum()
        y.backward()

    @case
    def hooks_on_saved_tensors_switched_off() -> Any:
        graph = torch.autograd.graph
        with (
            graph.disable_saved_tensors_hooks("not here"),
            graph.saved_tensors_hooks(lambda t: t, lambda t: t),
        ):
            pass

    @case
    def view_with_the_layout_of_its_base() -> Any:
        x1 = (w * 1).mT
        return torch.autograd.grad((x1.mT * x1.mT).sum(), [x1, w])

    @case
    def hook_on_a_view_of_that_kind() -> Any:
        x1 = w.mT
        x1.register_hook(lambda g: g * 2)
        w.grad = None
        (x1.mT * 3).sum().backward()
        return w.grad

    @case
    def unused_says_which() -> Any:
        return torch.autograd.grad((w * 2).sum(), [w, b])

    return table


@pytest.mark.parametrize("name", list(cases(flambeau, print)))
def test_same_as_pytorch(name: str) -> None:
    check(cases, name)
