"""Custom functions: outputs, written inputs, what backward returns."""

from __future__ import annotations

from contextlib import suppress
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

    def case(function: Any) -> None:
        table[function.__name__] = function

    class Dirty(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(3)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    @case
    def dirty_nonleaf():
        a = leaf()
        x = a * 2
        y = Dirty.apply(x)
        same = y is x
        (y * y).sum().backward()
        return same, y, type(y.grad_fn).__name__, a.grad

    @case
    def dirty_leaf():
        a = leaf()
        return Dirty.apply(a)

    @case
    def dirty_leaf_after():
        a = leaf()
        with suppress(RuntimeError):
            Dirty.apply(a)
        return a

    @case
    def dirty_plain():
        a = torch.ones(3)
        y = Dirty.apply(a)
        return y is a, y

    @case
    def dirty_view():
        a = leaf()
        x = a * 2
        v = x[1:]
        y = Dirty.apply(v)
        x.sum().backward()
        return y is v, x, a.grad

    @case
    def dirty_base_then_view():
        a = leaf()
        x = a * 2
        v = x[1:]
        Dirty.apply(x)
        v.sum().backward()
        return v, a.grad

    @case
    def dirty_leafview():
        a = leaf()
        v = a[1:]
        return Dirty.apply(v)

    @case
    def dirty_twice():
        a = leaf()
        x = a * 2
        Dirty.apply(Dirty.apply(x)).sum().backward()
        return a.grad

    @case
    def dirty_noreturn():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                x.mul_(3)
                ctx.mark_dirty(x)
                return x * 1

            @staticmethod
            def backward(ctx, g):
                return g

        a = leaf()
        x = a * 2
        y = D.apply(x)
        y.sum().backward()
        return x, a.grad

    @case
    def dirty_version():
        a = leaf()
        x = a * 2
        z = x * x
        Dirty.apply(x)
        try:
            z.sum().backward()
        except RuntimeError as error:
            return "modified by an inplace operation" in str(error), "version 2" in str(error)
        return a.grad

    @case
    def dirty_two():
        class D(Function):
            @staticmethod
            def forward(ctx, x, w):
                ctx.save_for_backward(w.clone())
                x.mul_(w)
                ctx.mark_dirty(x)
                return x, x.sum() * w.sum()

            @staticmethod
            def backward(ctx, g, h):
                (w,) = ctx.saved_tensors
                return g * w + h, h * w

        a = leaf()
        w = leaf(2.0, 3.0, 4.0)
        x = a * 2
        y, s = D.apply(x, w)
        (y.sum() + s).backward()
        return a.grad, w.grad, y is x, s

    @case
    def dirty_input_of_other_requires():
        class D(Function):
            @staticmethod
            def forward(ctx, x, w):
                x.copy_(w)
                ctx.mark_dirty(x)
                return x

            @staticmethod
            def backward(ctx, g):
                return None, g * 5

        x = torch.zeros(3)
        w = leaf()
        y = D.apply(x, w)
        y.sum().backward()
        return y is x, x.requires_grad, w.grad

    @case
    def returns_input():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x

            @staticmethod
            def backward(ctx, g):
                return g * 7

        a = leaf()
        y = D.apply(a)
        y.sum().backward()
        return y is a, y, a.grad

    @case
    def returns_view():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x.view(-1)[1:]

            @staticmethod
            def backward(ctx, g):
                return torch.cat([g[:1], g]) * 7

        a = leaf()
        y = D.apply(a)
        y.sum().backward()
        return y, a.grad

    @case
    def nondiff():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                v, i = x.sort()
                m = x * 2
                ctx.mark_non_differentiable(i, m)
                ctx.save_for_backward(i)
                return v, i, m

            @staticmethod
            def backward(ctx, g, gi, gm):
                seen(gi, gm)
                (i,) = ctx.saved_tensors
                return torch.zeros_like(g).scatter(0, i, g)

        a = leaf(3.0, 1.0, 2.0)
        v, i, m = D.apply(a)
        v.sum().backward()
        return v.requires_grad, i.requires_grad, m.requires_grad, a.grad, m.is_leaf

    @case
    def int_output():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2, x.argmax()

            @staticmethod
            def backward(ctx, g, gi):
                seen(gi)
                return g * 2

        a = leaf()
        y, i = D.apply(a)
        y.sum().backward()
        return i.requires_grad, a.grad

    @case
    def mat_on():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2, x * 3

            @staticmethod
            def backward(ctx, g, h):
                seen(g, h)
                return g * 2 + h * 3

        a = leaf()
        y, _z = D.apply(a)
        y.sum().backward()
        return a.grad

    @case
    def mat_off():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.set_materialize_grads(False)
                return x * 2, x * 3, x.argmax()

            @staticmethod
            def backward(ctx, g, h, i):
                seen(g, h, i)
                return g * 2

        a = leaf()
        y, _z, _ = D.apply(a)
        y.sum().backward()
        return a.grad

    @case
    def needs():
        class D(Function):
            @staticmethod
            def forward(ctx, x, k, w):
                seen(ctx.needs_input_grad)
                ctx.k = k
                ctx.save_for_backward(x, w)
                return x * k * w

            @staticmethod
            def backward(ctx, g):
                seen(ctx.needs_input_grad)
                _x, w = ctx.saved_tensors
                return g * ctx.k * w, None, None

        a = leaf()
        w = torch.ones(3)
        D.apply(a, 5, w).sum().backward()
        return a.grad

    @case
    def none_all():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return None

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def none_grad():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return None

        a = leaf()
        return torch.autograd.grad(D.apply(a).sum(), a)

    @case
    def extra_none():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g, None, None

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def extra_some():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g, g

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def too_few():
        class D(Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g

        a = leaf()
        D.apply(a, a).sum().backward()
        return a.grad

    @case
    def grad_for_number():
        class D(Function):
            @staticmethod
            def forward(ctx, x, k):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g, g

        a = leaf()
        D.apply(a, 3).sum().backward()
        return a.grad

    @case
    def bad_shape():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g[:2]

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def broadcast_shape():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g.expand(4, 3)

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def small_shape():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g.sum()

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def not_tensor():
        class D(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return 3.0

        a = leaf()
        D.apply(a).sum().backward()
        return a.grad

    @case
    def setup():
        class D(Function):
            @staticmethod
            def forward(x, k):
                return x * k

            @staticmethod
            def setup_context(ctx, inputs, output):
                seen(ctx.needs_input_grad, output.requires_grad)
                x, ctx.k = inputs
                ctx.save_for_backward(x, output)

            @staticmethod
            def backward(ctx, g):
                _x, o = ctx.saved_tensors
                return g * ctx.k * o, None

        a = leaf()
        D.apply(a, 4.0).sum().backward()
        return a.grad

    return table


@pytest.mark.parametrize("name", list(cases(flambeau, print)))
def test_same_as_pytorch(name: str) -> None:
    check(cases, name)
