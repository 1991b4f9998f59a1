"""Margin losses with torch.nn.functional's signatures: each is one event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.activation import log_sigmoid_value
from flambeau.functional.neural import (
    REDUCTION_NAMES,
    REDUCTIONS,
    NamedOp,
    binary,
    chosen_reduction,
    column,
    divided,
    flag,
    float_operand,
    floating,
    mean,
    named,
    not_a_tensor,
    number,
    record,
    reduced,
    refuse_axis,
    widened,
)
from flambeau.functional.options import WHOLE, not_implemented, refuse_negated_truth
from flambeau.functional.pointwise import SUB
from flambeau.functional.similarity import distance_value
from flambeau.functional.ternary import CLAMP
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.randomness import require
from flambeau.ops.value import Value
from flambeau.record.events import PureOp, refuse_cast
from flambeau.tensor.tensor import Tensor

Flag = bool | None


def _hinge(x: Value) -> Value:
    """max(0, x), as PyTorch's clamp_min has it: the gradient passes at 0 and not at NaN."""
    hinge: Value = CLAMP.function(x, 0.0, None)
    return hinge


def _above_zero(x: Value) -> Value:
    """max(0, x) of the losses that count what is above 0 only: neither 0 nor NaN is."""
    return el.where(ar.gt(x, 0), x, ar.zeros_like(x))


def _wide(*operands: Value) -> tuple[list[Value], Any]:
    dtype = ar.promoted_dtype(*operands)
    return ar.broadcast(*[widened(ar.cast(v, dtype)) for v in operands]), dtype


# ---- pairs --------------------------------------------------------------------------------------


def _hinge_embedding(x: Value, target: Value, reduction: str, margin: Any) -> Value:
    dtype = x.dtype
    left, t = ar.broadcast(widened(x), target)
    zero = ar.zeros_like(left)
    if dtype is dtypes.bool_:
        SUB.function(x, x)  # which refuses them
    distance = SUB.function(number("hinge_embedding_loss", "margin", margin), left)
    far = ar.cast(_hinge(ar.cast(distance, left.dtype)), left.dtype)
    loss = el.where(ar.ne(t, 1), far, zero) + el.where(ar.ne(t, -1), left, zero)
    result = reduced(loss, reduction)
    return result if dtype.kind in WHOLE else ar.cast(result, dtype)


HINGE = NamedOp("hinge_embedding_loss", _hinge_embedding, named("AddBackward0", *REDUCTION_NAMES))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return binary(HINGE, input, target, (reduction, margin))
    except Exception:
        refuse_misgiven()
        raise


def _cosine_embedding(x1: Value, x2: Value, target: Value, reduction: str, margin: Any) -> Value:
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = 2 if target.ndim == 1 else 1
    if x1.ndim != wanted or x2.ndim != wanted:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {wanted}D input tensors, but found inputs "
            "with sizes "
            f"{list(x1.shape)} and {list(x2.shape)}."
        )
    dtype = floating(ar.promoted_dtype(x1, x2))
    left, right = ar.broadcast(widened(ar.cast(x1, dtype)), widened(ar.cast(x2, dtype)))
    # PyTorch's kernel here adds 1e-12 to the squared norms instead of clamping the norms.
    a = left.ndim - 1
    product = rd.sum_(left * right, axes=(a,))
    squares = [rd.sum_(v * v, axes=(a,)) + 1e-12 for v in (left, right)]
    cosine = product / el.sqrt(squares[0] * squares[1])
    t, cosine = ar.broadcast(target, cosine)
    zero = ar.zeros_like(cosine)
    near = el.where(ar.eq(t, 1), 1.0 - cosine, zero)
    far = el.where(ar.eq(t, -1), _hinge(cosine - number("loss", "margin", margin)), zero)
    return ar.cast(reduced(near + far, reduction), dtype)


COSINE = NamedOp(
    "cosine_embedding_loss", _cosine_embedding, named("AddBackward0", *REDUCTION_NAMES)
)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return record(COSINE, (input1, input2, target), (reduction, margin))
    except Exception:
        refuse_misgiven()
        raise


def _margin_ranking(x1: Value, x2: Value, target: Value, reduction: str, margin: Any) -> Value:
    if not x1.ndim == x2.ndim == target.ndim:
        shapes = [f"torch.Size({list(v.shape)})" for v in (x1, x2, target)]
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            "input1: "
            f"{shapes[0]}, input2: {shapes[1]}, target: {shapes[2]} "
        )
    dtype = ar.promoted_dtype(x1, x2, target)
    if dtypes.bool_ in (x1.dtype, x2.dtype, target.dtype):  # which these refuse
        refuse_negated_truth(target.dtype)
        SUB.function(x1, x2)
    if dtype.kind in WHOLE:  # the difference of which is taken first: unsigned numbers wrap around
        product = ar.mul(ar.neg(target), SUB.function(x1, x2))
        dtype = floating(dtype)
    else:
        (left, right, t), dtype = _wide(x1, x2, target)
        product = el.neg(t) * (left - right)
    product = widened(ar.cast(product, dtype) if product.dtype.kind in WHOLE else product)
    loss = _hinge(product + number("margin_ranking_loss", "margin", margin))
    return ar.cast(reduced(loss, reduction), dtype)


RANKING = NamedOp(
    "margin_ranking_loss", _margin_ranking, named("ClampMinBackward0", *REDUCTION_NAMES)
)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target (input1 - input2) + margin)."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return record(RANKING, (input1, input2, target), (reduction, margin))
    except Exception:
        refuse_misgiven()
        raise


def _soft_margin(x: Value, target: Value, reduction: str) -> Value:
    """PyTorch computes it in one tensor, of the input's shape and dtype."""
    refuse_negated_truth(x.dtype)
    (left, t), dtype = _wide(x, target)
    if left.shape != x.shape:
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape "
            f"{list(left.shape)}"
        )
    refuse_cast(dtypes.get_default_dtype() if dtype.kind in WHOLE else dtype, x.dtype)
    return ar.cast(reduced(el.neg(log_sigmoid_value(t * left)), reduction), x.dtype)


SOFT = PureOp("soft_margin_loss", _soft_margin, "SoftMarginLossBackward0")


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input))."""
    try:
        return binary(SOFT, input, target, (chosen_reduction(size_average, reduce, reduction),))
    except Exception:
        refuse_misgiven()
        raise


# ---- classes ------------------------------------------------------------------------------------


def _rows(x: Value) -> Value:
    return x if x.ndim == 2 else view.reshape(x, shape=(1, x.size))


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")


def _check_matrix(x: Value) -> None:
    """A vector or matrix of scores, of which only the batch may be empty."""
    if x.ndim > 2 or (x.ndim and not x.shape[-1]):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(x.shape)}"
        )


def _multi_margin(
    x: Value, target: Value, weight: Value | None, reduction: str, p: int, margin: Any
) -> Value:
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    _check_reduction(reduction)
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    _check_matrix(x)
    rows = _rows(float_operand(x, "multi_margin_loss"))
    n, classes = rows.shape
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    if target.ndim > 1 or target.size != n:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of "
            "input samples "
            f"(batch size). Expected target size [{n}], but got {list(target.shape)}. Input has "
            "shape "
            f"{list(x.shape)}."
        )
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype.scalar_name}")
    t = view.reshape(target, shape=(n, 1))
    valid = ar.logical_and(ar.ge(t, 0), ar.lt(t, classes))
    t = require(t, valid, error=("RuntimeError", "target out of range"))
    hit = el.eq(*ar.broadcast(source.iota(size=classes), t))
    own = rd.spread(rd.sum_(el.where(hit, rows, ar.zeros_like(rows)), axes=(1,)), rows, (1,))
    loss = _above_zero(number("multi_margin_loss", "margin", margin) - own + rows)
    loss = loss * loss if p == 2 else loss
    if weight is not None:
        each = ar.expand(widened(weight), rows.shape)
        own_weight = rd.sum_(el.where(hit, each, ar.zeros_like(each)), axes=(1,))
        loss = loss * rd.spread(own_weight, rows, (1,))
    loss = mean(el.where(hit, ar.zeros_like(loss), loss), (1,))
    if reduction == "none" and target.ndim == 0:
        loss = column(loss, ())
    return ar.cast(reduced(loss, reduction), x.dtype)


MULTI = PureOp("multi_margin_loss", _multi_margin, "MultiMarginLossBackward0")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """mean over the other classes j of max(0, margin - input[target] + input[j])^p."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return record(MULTI, (input, target, weight), (reduction, p, margin))
    except Exception:
        refuse_misgiven()
        raise


def _multilabel_margin(x: Value, target: Value, reduction: str) -> Value:
    _check_reduction(reduction)
    _check_matrix(x)
    if target.shape != x.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(x.shape)}"
        )
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype.scalar_name}")
    rows = _rows(float_operand(x, "multilabel_margin_loss"))
    n, classes = rows.shape
    t = view.reshape(target, shape=(n, classes))
    valid = ar.logical_and(ar.ge(t, -1), ar.lt(t, classes))
    t = require(t, valid, error=("RuntimeError", "argument #2 'target' is out of range"))
    # Labels count up to the first -1: those before which no place is negative.
    place = ar.expand(source.iota(size=classes), t.shape)
    negative = el.where(ar.lt(t, 0), place, ar.full(t.shape, classes, dtypes.int64))
    end = rd.spread(rd.min_(negative, axes=(1,)), t, (1,))
    listed = el.lt(place, end)
    square = (n, classes, classes)  # [sample, label, class]
    hits = el.eq(
        ar.expand(column(t, (n, classes, 1)), square),
        ar.expand(source.iota(size=classes), square),
    )
    hits = ar.logical_and(hits, ar.expand(column(listed, (n, classes, 1)), square))
    is_label = ar.gt(rd.sum_(ar.cast(hits, dtypes.int64), axes=(1,)), 0)
    others = ar.expand(column(rows, (n, 1, classes)), square)
    zero = ar.zeros_like(others)
    own = rd.spread(rd.sum_(el.where(hits, others, zero), axes=(2,)), others, (2,))
    loss = _above_zero(1.0 - own + others)
    counted = ar.logical_and(
        ar.expand(column(listed, (n, classes, 1)), square),
        ar.logical_not(ar.expand(column(is_label, (n, 1, classes)), square)),
    )
    total = divided(rd.sum_(el.where(counted, loss, zero), axes=(1, 2)), classes)
    if reduction == "none" and x.ndim < 2:
        total = column(total, ())
    return ar.cast(reduced(total, reduction), x.dtype)


MULTILABEL = PureOp("multilabel_margin_loss", _multilabel_margin, "MultilabelMarginLossBackward0")


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, 1 - x[y] + x[i]) / C summed over labels y (target up to its first -1) and others i."""
    try:
        return binary(
            MULTILABEL, input, target, (chosen_reduction(size_average, reduce, reduction),)
        )
    except Exception:
        refuse_misgiven()
        raise


def _multilabel_soft(x: Value, target: Value, weight: Value | None, reduction: str) -> Value:
    if not x.dtype.is_floating_point:
        raise not_implemented("log_sigmoid_cpu", x.dtype)
    if target.dtype is dtypes.bool_:
        SUB.function(1, target)  # which refuses it
    if not x.ndim:
        refuse_axis(-1, 0)
    (left, t), dtype = _wide(x, target)
    loss = el.neg(t * log_sigmoid_value(left) + (1.0 - t) * log_sigmoid_value(el.neg(left)))
    if weight is not None:
        loss = loss * ar.cast(weight, loss.dtype)
    last = loss.ndim - 1
    return ar.cast(reduced(mean(loss, (last,)), reduction), dtype)


MULTILABEL_SOFT = NamedOp(
    "multilabel_soft_margin_loss", _multilabel_soft, named("DivBackward0", *REDUCTION_NAMES)
)


def _refuse_factor(given: Any) -> None:
    """TypeError for what a tensor cannot be multiplied by, in Python's words or PyTorch's."""
    if isinstance(given, (Tensor, int, float)):
        return
    if isinstance(given, (list, tuple)):
        raise TypeError("only integer tensors of a single element can be converted to an index")
    from flambeau.core.signatures import type_word

    raise TypeError(f"unsupported operand type(s) for *: '{type_word(given)}' and 'Tensor'")


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of -(t log sigmoid(x) + (1 - t) log sigmoid(-x))."""
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("log_sigmoid", input)
        _refuse_factor(target)
        reduction = chosen_reduction(size_average, reduce, reduction)
        return record(MULTILABEL_SOFT, (input, target, weight), (reduction,))
    except Exception:
        refuse_misgiven()
        raise


# ---- triplets -----------------------------------------------------------------------------------


def _triplet(
    anchor: Value,
    positive: Value,
    negative: Value,
    reduction: str,
    margin: float,
    p: float,
    eps: float,
    swap: bool,
) -> Value:
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, "
            f"but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )
    near = distance_value(anchor, positive, p, eps)
    far = distance_value(anchor, negative, p, eps)
    if swap:
        far = ar.minimum(far, distance_value(positive, negative, p, eps))
    return reduced(_hinge(near - far + margin), reduction)


TRIPLET = NamedOp("triplet_margin_loss", _triplet, named("ClampMinBackward0", *REDUCTION_NAMES))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm distance."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"margin must be greater than 0, got {margin}")
        attributes = (reduction, float(margin), float(p), float(eps), flag(swap))
        return record(TRIPLET, (anchor, positive, negative), attributes)
    except Exception:
        refuse_misgiven()
        raise


def _triplet_of_distances(near: Value, far: Value, reduction: str, margin: float) -> Value:
    (left, right), dtype = _wide(near, far)
    return ar.cast(reduced(_hinge(left - right + margin), reduction), dtype)


TRIPLET_OF_DISTANCES = NamedOp(
    "triplet_margin_with_distance_loss",
    _triplet_of_distances,
    named("ClampMinBackward0", *REDUCTION_NAMES),
)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with a distance function of two tensors (default: pairwise_distance)."""
    try:
        from flambeau.functional.pointwise import minimum
        from flambeau.functional.similarity import pairwise_distance

        if reduction not in REDUCTIONS:
            raise ValueError(f"{reduction} is not a valid value for reduction")
        if margin <= 0:
            raise ValueError(f"margin must be greater than 0, got {margin}")
        distance = distance_function or pairwise_distance
        near, far = distance(anchor, positive), distance(anchor, negative)
        if swap:
            far = minimum(far, distance(positive, negative))
        return binary(TRIPLET_OF_DISTANCES, near, far, (reduction, float(margin)))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
