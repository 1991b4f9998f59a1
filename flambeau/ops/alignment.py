"""Connectionist temporal classification (Graves et al. 2006): all alignments of labels with time.

Operands: log-probabilities [T, N, C], labels [N, S] or those of all samples in a row, and the two
lengths of each sample. A sample's states are its labels with blanks around each; alpha and beta are
the log-probabilities of all ways to and from a state at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import view
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.randomness import require
from flambeau.ops.value import Shape, Value

CHECKING = "(while checking arguments for ctc_loss_allocate_outputs)"


def _check_lengths(name: str, lengths: Array, most: int | None) -> None:
    for value in lengths:
        if value < 0:
            raise RuntimeError(
                f"Expected {name} to have value at least 0, but got value {value} {CHECKING}"
            )
        if most is not None and value > most:
            raise RuntimeError(
                f"Expected {name} to have value at most {most}, but got value {value} {CHECKING}"
            )


def _padded(labels: Array, lengths: Array) -> Array:
    """The labels as [N, longest]; RuntimeError where there are too few."""
    longest = int(lengths.max(initial=0))
    if labels.ndim == 2:
        if labels.shape[1] < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size "
                f"{labels.shape[1]} for argument #2 'targets' {CHECKING}"
            )
        return labels[:, :longest]
    if labels.size != lengths.sum():
        raise RuntimeError(
            f"Expected tensor to have size {lengths.sum()} at dimension 0, but got size "
            f"{labels.size} for argument #2 'targets' {CHECKING}"
        )
    result = np.zeros((len(lengths), longest), np.int64)
    result[np.arange(longest) < lengths[:, None]] = labels
    return result


def _shifted(x: Array, by: int) -> Array:
    """States moved by `by` places, -inf coming in."""
    result = np.full_like(x, -np.inf)
    if by > 0:
        result[:, by:] = x[:, :-by]
    else:
        result[:, :by] = x[:, -by:]
    return result


@dataclass(frozen=True)
class Trellis:
    """The states of all samples and what each emits at each time."""

    emitted: Array  # [T, N, 2 S + 1] log-probability of the state's class
    classes: Array  # [N, 2 S + 1]
    skips: Array  # [N, 2 S + 1] whether the state may follow the one two before
    times: Array  # [N]
    labels: Array  # [N]

    @classmethod
    def of(cls, scores: Array, labels: Array, times: Array, lengths: Array, blank: int) -> Trellis:
        steps, batch = scores.shape[:2]
        _check_lengths("input_lengths", times, steps)
        _check_lengths("target_lengths", lengths, None)
        rows = _padded(labels, lengths)
        classes = np.full((batch, 2 * rows.shape[1] + 1), blank, np.int64)
        classes[:, 1::2] = rows
        skips = np.zeros(classes.shape, bool)
        skips[:, 3::2] = rows[:, 1:] != rows[:, :-1]
        inside = np.arange(classes.shape[1]) <= 2 * lengths[:, None]
        classes = np.where(inside, classes, 0)
        emitted = np.take_along_axis(scores.astype(np.float64), classes[None], 2)
        emitted = np.where(inside, emitted, -np.inf)
        return cls(emitted, classes, skips, times, lengths)

    def alpha(self) -> Array:
        result = np.full_like(self.emitted, -np.inf)
        if len(result):
            result[0, :, :2] = self.emitted[0, :, :2]
        for t in range(1, len(result)):
            old = result[t - 1]
            ways = np.logaddexp(old, _shifted(old, 1))
            jump = np.where(self.skips, _shifted(old, 2), -np.inf)
            result[t] = np.logaddexp(ways, jump) + self.emitted[t]
        return result

    def beta(self) -> Array:
        result = np.full_like(self.emitted, -np.inf)
        states = np.arange(self.emitted.shape[2])
        ends = (states == 2 * self.labels[:, None]) | (states == 2 * self.labels[:, None] - 1)
        allowed = np.zeros_like(self.skips)
        allowed[:, :-2] = self.skips[:, 2:]
        for t in range(len(result) - 1, -1, -1):
            ways = np.full_like(result[t], -np.inf)
            if t + 1 < len(result):
                later = result[t + 1]
                ways = np.logaddexp(later, _shifted(later, -1))
                ways = np.logaddexp(ways, np.where(allowed, _shifted(later, -2), -np.inf))
            last = (self.times == t + 1)[:, None]
            result[t] = np.where(last, np.where(ends, 0.0, -np.inf), ways) + self.emitted[t]
        return result

    def losses(self, alpha: Array) -> Array:
        """The negative log-likelihood of each sample."""
        if not len(alpha):
            return np.where(self.labels == 0, 0.0, np.inf)
        rows = np.arange(alpha.shape[1])
        last = alpha[np.maximum(self.times - 1, 0), rows]
        final = last[rows, 2 * self.labels]
        before = last[rows, np.maximum(2 * self.labels - 1, 0)]
        before = np.where(self.labels > 0, before, -np.inf)
        result = -np.logaddexp(final, before)
        return np.where(self.times > 0, result, np.where(self.labels == 0, 0.0, np.inf))


class CtcLoss(Primitive):
    """The negative log-likelihood [N] of each sample's labels."""

    name, family = "ctc_loss", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (inputs[0].shape[1],), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        slope = ctc_gradient(*inputs, **attrs)
        scale = view.reshape(ct, shape=(1, ct.shape[0], 1))
        return slope * ar.expand(scale, slope.shape), None, None, None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        with np.errstate(all="ignore"):
            scores, labels, times, lengths = arrays
            trellis = Trellis.of(scores, labels, times, lengths, attrs["blank"])
            return trellis.losses(trellis.alpha()).astype(arrays[0].dtype)


class CtcGradient(Primitive):
    """The derivative [T, N, C] of the sum of the losses, for log-probabilities that are the
    log_softmax of what is differentiated: exp(log-probability) less the expected occupancy.
    With zero_infinity it is zero for samples whose labels have no alignment.
    """

    name, family = "ctc_gradient", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        scores = inputs[0]  # an error when run: what only might be asked for must not raise
        message = "derivative for aten::_ctc_loss_backward is not implemented"
        never = ar.full((), False, dtypes.bool_)
        nothing = require(ar.zeros_like(scores), never, error=("RuntimeError", message))
        return nothing, None, None, None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        with np.errstate(all="ignore"):
            scores, labels, times, lengths = arrays
            trellis = Trellis.of(scores, labels, times, lengths, attrs["blank"])
            alpha = trellis.alpha()
            losses = trellis.losses(alpha)
            ways = alpha + trellis.beta() - trellis.emitted + losses[:, None]
            inside = np.arange(ways.shape[2]) <= 2 * trellis.labels[:, None]
            occupied = np.where(inside & ~np.isneginf(trellis.emitted), np.exp(ways), 0.0)
            result = np.exp(scores.astype(np.float64))
            rows = np.arange(scores.shape[1])[:, None]
            for t in range(scores.shape[0]):
                np.subtract.at(result[t], (rows, trellis.classes), occupied[t])
        result[:, np.isinf(losses)] = 0.0 if attrs["zero_infinity"] else np.nan
        result[np.arange(scores.shape[0])[:, None] >= trellis.times] = 0.0
        return result.astype(scores.dtype)


ctc_loss = CtcLoss()
ctc_gradient = CtcGradient()
