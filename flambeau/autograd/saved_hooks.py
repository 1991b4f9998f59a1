"""saved_tensors_hooks: what an op keeps for backward, handed to functions of the user's.

A recorded program decides as a whole what it keeps. Within these hooks, ops that read their
operands in backward are custom functions instead: they keep what `pack_hook` made of their
operands, and compute again in backward from what `unpack_hook` makes of that. Ops that write in
place, draw random numbers or keep statistics (dropout, batch_norm), and those that keep nothing,
run as always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd import engine
from flambeau.autograd.function import Function
from flambeau.autograd.modes import enable_grad
from flambeau.record import recorder
from flambeau.tensor import overriding
from flambeau.tensor.tensor import Tensor

# Functions and methods that keep operands or results in PyTorch, and are functions of their
# operands alone.
KEEPING = frozenset(
    """mul multiply div divide true_divide pow matmul mm bmm addmm baddbmm addbmm mv dot vdot outer
    einsum bilinear linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square sin cos tan asin acos atan sinh
    cosh tanh asinh acosh atanh sigmoid erf erfc erfinv abs relu relu6 elu selu celu gelu silu mish
    softplus leaky_relu hardswish hardsigmoid hardtanh logsigmoid softsign tanhshrink glu prelu
    threshold clamp clamp_min clamp_max softmax log_softmax softmin logsumexp norm vector_norm
    normalize cosine_similarity pairwise_distance layer_norm group_norm rms_norm embedding prod
    cumprod var std mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss kl_div
    binary_cross_entropy binary_cross_entropy_with_logits max min amax amin maximum minimum where
    gather index_select masked_fill max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d
    avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d atan2 hypot lerp addcmul addcdiv sort topk
    __truediv__ __rtruediv__ __pow__ __rpow__ __matmul__ __rmatmul__""".split()
)


class _Spec:
    """A call whose tensors stand elsewhere: the function and its other arguments."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, hooks: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.hooks = hooks
        self.autocast = recorder.LOCAL.autocast
        self.kind: Any = None  # of the result, where it is a tuple

    def call(self, tensors: list[Any]) -> Any:
        """The function of the arguments with these tensors."""
        left = iter(tensors)

        def filled(value: Any) -> Any:
            if value is _HERE:
                return next(left)
            if isinstance(value, (list, tuple)):
                return type(value)([filled(part) for part in value])
            return value

        before = recorder.LOCAL.autocast
        recorder.set_autocast(self.autocast)
        try:
            args = filled(self.args)
            return self.function(*args, **{k: filled(v) for k, v in self.kwargs.items()})
        finally:
            recorder.set_autocast(before)


class _Here:
    """Stands where a tensor was."""


_HERE = _Here()


def _taken_out(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, Tensor):
        tensors.append(value)
        return _HERE
    if type(value) in (list, tuple):
        return type(value)([_taken_out(part, tensors) for part in value])
    return value


class _Again(Function):
    """A call that keeps packed operands, and computes again in backward."""

    @staticmethod
    def forward(ctx: Any, spec: Any, *tensors: Any) -> Any:
        """The function's results."""
        pack = spec.hooks.pack_hook
        ctx.packed = [pack(t.detach() if t.requires_grad and not t.is_leaf else t) for t in tensors]
        ctx.spec = spec
        ctx.needs = [t.requires_grad for t in tensors]
        result = spec.call(list(tensors))
        if isinstance(result, tuple):
            spec.kind = type(result)
            whole = [r for r in result if not r.dtype.is_floating_point and not r.is_complex()]
            ctx.mark_non_differentiable(*whole)
        return result

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """The operands' gradients. NotImplementedError for second derivatives."""
        if recorder.LOCAL.grad_mode:
            raise NotImplementedError(
                "saved_tensors_hooks: derivatives of derivatives (create_graph=True)"
            )
        spec = ctx.spec
        inputs = []
        for packed, needed in zip(ctx.packed, ctx.needs, strict=True):
            given = spec.hooks.unpack_hook(packed)
            if not isinstance(given, Tensor):
                raise TypeError(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                    f"type {type(given).__name__}"
                )
            plain = given.detach()
            inputs.append(plain.requires_grad_() if needed else plain)
        with enable_grad():
            result = spec.call(inputs)
        results = result if isinstance(result, tuple) else (result,)
        pairs = [
            (r, c)
            for r, c in zip(results, cotangents, strict=True)
            if r.requires_grad and c is not None
        ]
        wanted = [t for t, needed in zip(inputs, ctx.needs, strict=True) if needed]
        found = iter(
            engine.grad([r for r, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True)
        )
        return (None, *(next(found) if needed else None for needed in ctx.needs))


class SavedTensorsHooks:
    """The context `saved_tensors_hooks(pack_hook, unpack_hook)`."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        overriding.activate()
        overriding.LOCAL.modes.append(self)

    def __exit__(self, *_: object) -> None:
        overriding.LOCAL.modes.remove(self)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """An op within: with what it keeps packed, where it keeps something."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in KEEPING and recorder.LOCAL.grad_mode:
            plainly = not (kwargs.get("inplace") or kwargs.get("out") is not None)
            tensors: list[Any] = []
            rest = _taken_out(tuple(args), tensors)
            named = {key: _taken_out(value, tensors) for key, value in kwargs.items()}
            if plainly and any(t.requires_grad for t in tensors):
                spec = _Spec(func, rest, named, self)
                result = _Again.apply(spec, *tensors)
                return result if spec.kind is None else tuple.__new__(spec.kind, result)
        return func(*args, **kwargs)
