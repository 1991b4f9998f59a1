"""A line search for the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5 and 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9


@dataclass(frozen=True)
class Point:
    """A step length, the loss and the gradient there, and the slope along the direction."""

    t: float
    loss: float
    grad: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through both points and slopes is least, within [low, high]."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    width = right.t - left.t
    d1 = left.slope + right.slope + 3 * (left.loss - right.loss) / width if width else math.nan
    square = d1 * d1 - left.slope * right.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    bottom = right.slope - left.slope + 2 * d2
    if bottom == 0:
        return (low + high) / 2.0
    return min(max(right.t - width * (right.slope + d2 - d1) / bottom, low), high)


class LineSearch:
    """Looks along one direction for a step that decreases the loss enough and flattens the slope.

    `evaluate(t)` gives the point at step length t; `size` is the largest entry of the direction,
    `most` bounds the number of evaluations after the first.
    """

    def __init__(
        self,
        evaluate: Callable[[float], Point],
        start: Point,
        size: float,
        tolerance: float,
        most: int,
    ) -> None:
        self.evaluate = evaluate
        self.start = start
        self.size = size
        self.tolerance = tolerance
        self.most = most
        self.rounds = 0
        self.evaluations = 0

    def _at(self, t: float) -> Point:
        self.evaluations += 1
        return self.evaluate(t)

    def _too_high(self, point: Point) -> bool:
        start = self.start
        return point.loss > start.loss + SUFFICIENT_DECREASE * point.t * start.slope

    def _flat(self, point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * self.start.slope

    def run(self, t: float) -> Point:
        """The point found, beginning with step length t."""
        previous, now = self.start, self._at(t)
        while self.rounds < self.most:
            if self._too_high(now) or (self.rounds > 1 and now.loss >= previous.loss):
                return self._zoom([previous, now])
            if self._flat(now):
                return now
            if now.slope >= 0:
                return self._zoom([previous, now])
            low, high = now.t + 0.01 * (now.t - previous.t), now.t * 10
            t = cubic_minimum(previous, now, low, high)
            previous, now = now, self._at(t)
            self.rounds += 1
        return self._zoom([self.start, now])

    def _zoom(self, ends: list[Point]) -> Point:
        """Narrow a bracket; its ends are kept in place, the better one is the answer."""
        best = 0 if ends[0].loss <= ends[1].loss else 1
        stuck = False
        while self.rounds < self.most:
            if abs(ends[1].t - ends[0].t) * self.size < self.tolerance:
                break
            low, high = sorted((ends[0].t, ends[1].t))
            t, stuck = _inside(cubic_minimum(ends[0], ends[1], low, high), low, high, stuck)
            now = self._at(t)
            self.rounds += 1
            other = 1 - best
            if self._too_high(now) or now.loss >= ends[best].loss:
                ends[other] = now
                best = 0 if ends[0].loss <= ends[1].loss else 1
                continue
            if self._flat(now):
                return now
            if now.slope * (ends[other].t - ends[best].t) >= 0:
                ends[other] = ends[best]
            ends[best] = now
        return ends[best]


def _inside(t: float, low: float, high: float, stuck: bool) -> tuple[float, bool]:
    """Keep a trial step off the ends: a second one close to an end moves a tenth inwards."""
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if not (stuck or t >= high or t <= low):
        return t, True
    return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
