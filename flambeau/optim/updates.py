"""The arithmetic of one optimiser step, as pure functions on values.

Every rule takes `ops` (the few functions that are not operators), the parameter, its gradient and
its state, and returns the new parameter followed by the new state. Scalars are Python floats: the
hyper-parameters' own arithmetic (bias corrections, step sizes) happens in double precision before
a rule is called, as in PyTorch.

Note: rounding
    The order of operations is that of PyTorch's single-tensor CPU code, down to its fused
    multiply-adds. There `a.add(b, alpha=s)`, `a.addcmul(b, c, value=s)` and `a.lerp(b, w)` each
    round once after the multiplication by `s` (`c`, `w`) and the addition, which is `ops.fma`;
    `a.addcdiv(b, c, value=s)` rounds s*b, the quotient and the sum. Scalars take the dtype
    of the value they meet. With these rules float32 results agree bit for bit.
"""

from __future__ import annotations

from typing import Any, Protocol

# A NumPy array, a tensor, or a symbolic value of a recording; None for state not in use.
Value = Any


class Arithmetic(Protocol):
    """What a rule needs beyond + - * / and unary minus."""

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once; `a` or `b` may be a Python float."""

    def sqrt(self, x: Value) -> Value:
        """Return the square root."""

    def maximum(self, x: Value, y: Value) -> Value:
        """Return the larger of each pair, NaN where either is."""

    def minimum(self, x: Value, y: Value) -> Value:
        """Return the smaller of each pair, NaN where either is."""

    def absolute(self, x: Value) -> Value:
        """Return |x|."""

    def sign(self, x: Value) -> Value:
        """Return -1, 0 or 1, NaN for NaN."""

    def where(self, condition: Value, x: Value, y: Value) -> Value:
        """Return x where the condition holds, else y."""

    def equal(self, x: Value, y: Value) -> Value:
        """Return whether x = y, elementwise."""

    def double(self, x: Value) -> Value:
        """Return the same number in float64."""

    def alike(self, x: Value, y: Value) -> Value:
        """Return x in the dtype of y."""

    def complement(self, weight: Value) -> Value:
        """Return 1 - weight; asked of hyper-parameters that are no Python numbers."""

    def below_half(self, weight: Value) -> bool:
        """Return whether weight < 0.5; likewise."""


def is_zero(number: Value) -> bool:
    """Return whether a hyper-parameter is zero. One that changes from step to step is not."""
    return isinstance(number, (int, float)) and number == 0


def complement(ops: Arithmetic, number: Value) -> Value:
    """Return 1 - number of a hyper-parameter."""
    return 1 - number if isinstance(number, (int, float)) else ops.complement(number)


def squared_average(ops: Arithmetic, average: Value, x: Value, beta: Value) -> Value:
    """Return beta average + (1 - beta) x^2."""
    return ops.fma(x * complement(ops, beta), x, average * beta)


def lerp(ops: Arithmetic, start: Value, end: Value, weight: Value) -> Value:
    """Return start + weight (end - start), computed from the nearer end."""
    known = isinstance(weight, (int, float))
    if weight < 0.5 if known else ops.below_half(weight):
        return ops.fma(end - start, weight, start)
    # PyTorch subtracts the weight from one in the dtype of the values.
    return ops.fma(start - end, _one_minus(ops, weight, start), end)


def _one_minus(ops: Arithmetic, weight: Value, like: Value) -> Value:
    """Return 1 - weight, computed in the dtype of `like` where that is float32."""
    single = str(getattr(like, "dtype", "")).endswith("float32")
    if not isinstance(weight, (int, float)):
        return 1.0 - (ops.alike(weight, like) if single else ops.double(weight))
    if single:
        import numpy as np

        return float(np.float32(1) - np.float32(weight))
    return 1 - weight


def decayed(ops: Arithmetic, param: Value, grad: Value, weight_decay: Value) -> Value:
    """Return the gradient with that of weight decay, weight_decay * param."""
    return grad if is_zero(weight_decay) else ops.fma(param, weight_decay, grad)


def sgd_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    momentum_buffer: Value,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> tuple[Value, Value]:
    """Return (param, momentum buffer) after a step of SGD; `first`: there is no buffer yet."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    if not is_zero(momentum):
        if first:
            # The buffer is a copy of the gradient; a value has no need to be copied.
            momentum_buffer = grad
        else:
            momentum_buffer = ops.fma(grad, complement(ops, dampening), momentum_buffer * momentum)
        grad = ops.fma(momentum_buffer, momentum, grad) if nesterov else momentum_buffer
    return ops.fma(grad, -lr, param), momentum_buffer


def adam_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    exp_avg: Value,
    exp_avg_sq: Value,
    max_exp_avg_sq: Value,
    *,
    decay: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    step_size: float,
    bias_correction2_sqrt: float,
    eps: float,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
) -> tuple[Value, Value, Value, Value]:
    """Return (param, averages...) after a step of Adam or AdamW; `decay` is 1 - lr weight_decay."""
    if maximize:
        grad = -grad
    if not decoupled_weight_decay:
        grad = decayed(ops, param, grad, weight_decay)
    elif not is_zero(weight_decay):
        param = param * decay
    exp_avg = lerp(ops, exp_avg, grad, complement(ops, beta1))
    exp_avg_sq = squared_average(ops, exp_avg_sq, grad, beta2)
    second = exp_avg_sq
    if amsgrad:
        max_exp_avg_sq = ops.maximum(max_exp_avg_sq, exp_avg_sq)
        second = max_exp_avg_sq
    denominator = ops.sqrt(second) / bias_correction2_sqrt + eps
    param = param + (exp_avg * -step_size) / denominator
    return param, exp_avg, exp_avg_sq, max_exp_avg_sq


def rmsprop_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    square_avg: Value,
    grad_avg: Value,
    momentum_buffer: Value,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> tuple[Value, Value, Value, Value]:
    """Return (param, averages..., momentum buffer) after a step of RMSprop."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    square_avg = squared_average(ops, square_avg, grad, alpha)
    variance = square_avg
    if centered:
        grad_avg = lerp(ops, grad_avg, grad, complement(ops, alpha))
        variance = ops.fma(-grad_avg, grad_avg, square_avg)
    deviation = ops.sqrt(variance) + eps
    if not isinstance(momentum, (int, float)) or momentum > 0:
        momentum_buffer = momentum_buffer * momentum + grad / deviation
        param = ops.fma(momentum_buffer, -lr, param)
    else:
        param = param + (grad * -lr) / deviation
    return param, square_avg, grad_avg, momentum_buffer


def adagrad_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    total: Value,
    *,
    step_size: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> tuple[Value, Value]:
    """Return (param, sum of squares) after a step of Adagrad; step_size = lr/(1+(t-1) lr_decay)."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    total = ops.fma(grad, grad, total)
    deviation = ops.sqrt(total) + eps
    return param + (grad * -step_size) / deviation, total
