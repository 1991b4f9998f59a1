"""Custom functions: what is saved, double backward, forms and refusals."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import flambeau

from .both import check, leaves

pytestmark = pytest.mark.parity


def cases(torch: Any, seen: Any) -> dict[str, Any]:
    """The programs, by name; what they return and pass to `seen` is compared."""
    Function = torch.autograd.Function
    leaf = leaves(torch)
    table: dict[str, Any] = {}
    once = importlib.import_module(torch.__name__ + ".autograd.function").once_differentiable

    def case(function: Any) -> None:
        table[function.__name__] = function

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    @case
    def double():
        a = leaf()
        y = Cube.apply(a)
        (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), a, create_graph=True)
        (k,) = torch.autograd.grad(h.sum(), a)
        return g, h, k

    @case
    def double_out():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, g):
                (y,) = ctx.saved_tensors
                return g * y

        a = leaf()
        y = E.apply(a)
        (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
        (h,) = torch.autograd.grad((g * g).sum(), a)
        return g, h

    @case
    def double_kept_attr():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.y = y
                return y

            @staticmethod
            def backward(ctx, g):
                return g * ctx.y

        a = leaf()
        y = E.apply(a)
        (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
        seen(g.requires_grad)
        (h,) = torch.autograd.grad(g.sum(), a)
        return g, h

    @case
    def onced():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            @once
            def backward(ctx, g):
                seen(torch.is_grad_enabled())
                (x,) = ctx.saved_tensors
                return g * 3 * x * x

        a = leaf()
        y = E.apply(a)
        (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
        seen(g.requires_grad, g.grad_fn is not None)
        (h,) = torch.autograd.grad(g.sum(), a)
        return h

    @case
    def onced_first():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            @once
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return g * 3 * x * x

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad

    @case
    def saved_modified():
        a = leaf()
        x = a * 1
        y = Cube.apply(x)
        x.mul_(2)
        y.sum().backward()
        return a.grad

    @case
    def saved_twice():
        a = leaf()
        y = Cube.apply(a)
        y.sum().backward()
        y.sum().backward()
        return a.grad

    @case
    def saved_retain():
        a = leaf()
        y = Cube.apply(a).sum()
        y.backward(retain_graph=True)
        y.backward()
        return a.grad

    @case
    def saved_after():
        a = leaf()
        y = Cube.apply(a)
        f = y.grad_fn
        y.sum().backward()
        return f.saved_tensors

    @case
    def saved_before():
        a = leaf()
        y = Cube.apply(a)
        return y.grad_fn.saved_tensors, y.grad_fn.name(), y.grad_fn.needs_input_grad

    @case
    def save_nontensor():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, 3)
                return x * 3

            @staticmethod
            def backward(ctx, g):
                return g

        return E.apply(leaf())

    @case
    def save_none():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, None)
                return x * 3

            @staticmethod
            def backward(ctx, g):
                seen(ctx.saved_tensors)
                return g

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad

    @case
    def instantiate():
        return Cube()(leaf())

    @case
    def no_backward():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad

    @case
    def no_forward():
        class E(Function):
            pass

        return E.apply(leaf())

    @case
    def vjp():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

            @staticmethod
            def vjp(ctx, g):
                return g * 3

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad

    @case
    def both():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

            @staticmethod
            def vjp(ctx, g):
                return g * 3

            @staticmethod
            def backward(ctx, g):
                return g * 3

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad

    @case
    def kw():
        return Cube.apply(x=leaf())

    @case
    def nested_out():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3, "s", None, [x]

            @staticmethod
            def backward(ctx, *g):
                seen(g[1:])
                return g[0] * 3

        a = leaf()
        r = E.apply(a)
        r[0].sum().backward()
        return r[1:3], a.grad

    @case
    def str_out():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return "s"

            @staticmethod
            def backward(ctx, *g):
                return g[0] * 3

        return E.apply(leaf())

    @case
    def list_out():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return [x * 3, x * 2]

            @staticmethod
            def backward(ctx, *g):
                return g[0] * 3

        return type(E.apply(leaf())).__name__

    @case
    def list_in():
        class E(Function):
            @staticmethod
            def forward(ctx, xs):
                return xs[0] * 3

            @staticmethod
            def backward(ctx, *g):
                return g[0] * 3

        y = E.apply([leaf()])
        return y.requires_grad

    @case
    def same_twice():
        class E(Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * y

            @staticmethod
            def backward(ctx, g):
                return g * 2, g * 3

        a = leaf()
        E.apply(a, a).sum().backward()
        return a.grad

    @case
    def dtype_cast():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

            @staticmethod
            def backward(ctx, g):
                return g.double() * 3

        a = leaf()
        E.apply(a).sum().backward()
        return a.grad.dtype, a.grad

    @case
    def in_nograd():
        with torch.no_grad():
            y = Cube.apply(leaf())
        return y.requires_grad, y.grad_fn

    @case
    def needs_nograd():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                seen(ctx.needs_input_grad, torch.is_grad_enabled(), x.requires_grad)
                return x * 3

            @staticmethod
            def backward(ctx, g):
                return g

        with torch.no_grad():
            E.apply(leaf())
        return E.apply(leaf()).requires_grad

    @case
    def grad_mode_bw():
        class E(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

            @staticmethod
            def backward(ctx, g):
                seen(torch.is_grad_enabled(), g.requires_grad)
                return g * 3

        a = leaf()
        y = E.apply(a)
        y.sum().backward(retain_graph=True)
        torch.autograd.grad(y.sum(), a, create_graph=True)

    @case
    def flush_between():
        a = leaf()
        y = Cube.apply(a)
        seen(y)
        z = y * 2
        seen(z.sum().item())
        z.sum().backward()
        return a.grad

    @case
    def name_meta():
        a = leaf()
        y = Cube.apply(a)
        f = y.grad_fn
        f.metadata["k"] = 1
        return (
            f.name(),
            y.grad_fn.metadata,
            type(f).__name__,
            [(n.name(), i) for n, i in f.next_functions],
        )

    return table


@pytest.mark.parametrize("name", list(cases(flambeau, print)))
def test_same_as_pytorch(name: str) -> None:
    check(cases, name)
