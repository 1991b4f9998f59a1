"""Index expressions: integer algebra over loop variables with known ranges.

An `Expression` is `constant + sum(coefficient * atom)`. Atoms are loop variables, quotients and
remainders by constants (which reshapes make; most of them vanish by ranges), and run-time indices.
Equal expressions compare equal, so tuples of them are dictionary keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flambeau.core.shapes import contiguous_strides

Key = tuple[Any, ...]


class Atom:
    """What an expression is a linear form of; `low` and `high` bound its values (inclusive)."""

    __slots__ = ("high", "key", "low")

    def __init__(self, low: int, high: int, key: Key) -> None:
        self.low = low
        self.high = high
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Variable(Atom):
    """A loop counter 0 .. extent - 1; `number` orders it among the loops of a kernel."""

    __slots__ = ("extent", "number")

    def __init__(self, number: int, extent: int) -> None:
        super().__init__(0, extent - 1, (0, number, extent))
        self.number = number
        self.extent = extent


class Quotient(Atom):
    """floor(inner / divisor)."""

    __slots__ = ("divisor", "inner")

    def __init__(self, inner: Expression, divisor: int) -> None:
        super().__init__(inner.low // divisor, inner.high // divisor, (1, divisor, inner.key))
        self.inner = inner
        self.divisor = divisor


class Rest(Atom):
    """inner modulo divisor (not negative)."""

    __slots__ = ("divisor", "inner")

    def __init__(self, inner: Expression, divisor: int) -> None:
        super().__init__(0, divisor - 1, (2, divisor, inner.key))
        self.inner = inner
        self.divisor = divisor


class Runtime(Atom):
    """An index known at run time only: `node` is the body node that computes it."""

    __slots__ = ("node",)

    def __init__(self, node: Any, count: int) -> None:
        super().__init__(0, max(count - 1, 0), (3, node.number))
        self.node = node


class Expression:
    """A linear form of atoms, sorted by their keys, with its range."""

    __slots__ = ("constant", "high", "key", "low", "terms")

    def __init__(self, constant: int, terms: tuple[tuple[Atom, int], ...]) -> None:
        self.constant = constant
        self.terms = terms
        low = high = constant
        for atom, coefficient in terms:
            if coefficient > 0:
                low += coefficient * atom.low
                high += coefficient * atom.high
            else:
                low += coefficient * atom.high
                high += coefficient * atom.low
        self.low = low
        self.high = high
        self.key: Key = (constant, tuple([(a.key, c) for a, c in terms]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __add__(self, other: Expression) -> Expression:
        if not other.terms:
            if not other.constant:
                return self
            return Expression(self.constant + other.constant, self.terms)
        if not self.terms:
            return Expression(self.constant + other.constant, other.terms)
        return _collected(self.constant + other.constant, (*self.terms, *other.terms))

    def __sub__(self, other: Expression) -> Expression:
        return self + other.times(-1)

    def plus(self, constant: int) -> Expression:
        return Expression(self.constant + constant, self.terms) if constant else self

    def times(self, factor: int) -> Expression:
        if factor == 1:
            return self
        if factor == 0:
            return ZERO
        return Expression(self.constant * factor, tuple([(a, c * factor) for a, c in self.terms]))

    def __floordiv__(self, divisor: int) -> Expression:
        return _divided(self, divisor)[0]

    def __mod__(self, divisor: int) -> Expression:
        return _divided(self, divisor)[1]

    def coefficient(self, atom: Atom) -> int:
        for other, coefficient in self.terms:
            if other.key == atom.key:
                return coefficient
        return 0

    @property
    def single(self) -> Variable | None:
        """The variable this expression is, if it is exactly one."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            atom = self.terms[0][0]
            return atom if isinstance(atom, Variable) else None
        return None

    def atoms(self) -> Iterable[Atom]:
        """All atoms, those inside quotients and remainders included."""
        for atom, _ in self.terms:
            yield atom
            if isinstance(atom, (Quotient, Rest)):
                yield from atom.inner.atoms()

    def nested(self) -> Iterable[Atom]:
        """The atoms inside quotients and remainders."""
        for atom, _ in self.terms:
            if isinstance(atom, (Quotient, Rest)):
                yield from atom.inner.atoms()

    def replaced(self, change: Callable[[Variable], Expression | None]) -> Expression:
        """With variables replaced by expressions (None leaves one as it is)."""
        result = Expression(self.constant, ())
        for atom, coefficient in self.terms:
            if isinstance(atom, Variable):
                new = change(atom) or Expression(0, ((atom, 1),))
            elif isinstance(atom, Quotient):
                new = atom.inner.replaced(change) // atom.divisor
            elif isinstance(atom, Rest):
                new = atom.inner.replaced(change) % atom.divisor
            else:
                new = Expression(0, ((atom, 1),))
            result = result + new.times(coefficient)
        return result

    def __repr__(self) -> str:
        parts = [f"{c}*{_spelled(a)}" for a, c in self.terms]
        return " + ".join([*parts, str(self.constant)])


def _spelled(atom: Atom) -> str:
    if isinstance(atom, Variable):
        return f"v{atom.number}"
    if isinstance(atom, Quotient):
        return f"(({atom.inner!r}) // {atom.divisor})"
    if isinstance(atom, Rest):
        return f"(({atom.inner!r}) % {atom.divisor})"
    return "runtime"


ZERO = Expression(0, ())


def constant(value: int) -> Expression:
    return Expression(value, ()) if value else ZERO


def of(atom: Atom) -> Expression:
    """The expression that is one atom (0 where the atom can only be 0)."""
    if atom.low == atom.high:
        return constant(atom.low)
    return Expression(0, ((atom, 1),))


def _collected(offset: int, terms: Iterable[tuple[Atom, int]]) -> Expression:
    """Equal atoms added up; quotient-remainder pairs of one expression recombined."""
    found: dict[Key, tuple[Atom, int]] = {}
    opaque = False
    for atom, coefficient in terms:
        have = found.get(atom.key)
        found[atom.key] = (atom, coefficient + (have[1] if have else 0))
        opaque = opaque or atom.key[0] in (1, 2)
    if opaque:
        found, joined = _recombined(found)
        if joined is not None:
            return _collected(offset, found.values()) + joined
    return Expression(offset, tuple([found[k] for k in sorted(found) if found[k][1]]))


def _recombined(
    found: dict[Key, tuple[Atom, int]],
) -> tuple[dict[Key, tuple[Atom, int]], Expression | None]:
    """c * d * (x // d) + c * (x % d) becomes c * x, once; the second result is that c * x."""
    for key, (rest, coefficient) in found.items():
        if not isinstance(rest, Rest) or not coefficient:
            continue
        upper = rest.inner // rest.divisor
        if len(upper.terms) != 1 or upper.constant or upper.terms[0][1] != 1:
            continue
        partner = upper.terms[0][0].key
        if partner in found and found[partner][1] == coefficient * rest.divisor:
            remaining = {k: v for k, v in found.items() if k not in (key, partner)}
            return remaining, rest.inner.times(coefficient)
    return found, None


def _divided(value: Expression, divisor: int) -> tuple[Expression, Expression]:
    """(value // divisor, value % divisor), as simple as the ranges allow."""
    if divisor == 1:
        return value, ZERO
    if value.low >= 0 and value.high < divisor:
        return ZERO, value
    whole = tuple([(a, c // divisor) for a, c in value.terms if c % divisor == 0])
    rest = Expression(
        value.constant % divisor, tuple([(a, c) for a, c in value.terms if c % divisor])
    )
    quotient = Expression(value.constant // divisor, whole)
    if rest.low // divisor == rest.high // divisor:
        step = rest.low // divisor
        return quotient.plus(step), rest.plus(-step * divisor)
    for step in sorted({math.gcd(c, divisor) for _, c in rest.terms}, reverse=True):
        if step == 1:
            continue
        small = Expression(rest.constant % step, tuple([(a, c) for a, c in rest.terms if c % step]))
        if small.low >= 0 and small.high < step:
            large = Expression(
                rest.constant // step,
                tuple([(a, c // step) for a, c in rest.terms if c % step == 0]),
            )
            upper, lower = _divided(large, divisor // step)
            return quotient + upper, lower.times(step) + small
    return quotient + _quotient_atom(rest, divisor), _rest_atom(rest, divisor)


def _quotient_atom(value: Expression, divisor: int) -> Expression:
    if len(value.terms) == 1 and not value.constant and value.terms[0][1] == 1:
        atom = value.terms[0][0]
        if isinstance(atom, Quotient):
            return _divided(atom.inner, atom.divisor * divisor)[0]
    return of(Quotient(value, divisor))


def _rest_atom(value: Expression, divisor: int) -> Expression:
    if len(value.terms) == 1 and not value.constant and value.terms[0][1] == 1:
        atom = value.terms[0][0]
        if isinstance(atom, Rest) and atom.divisor % divisor == 0:
            return _divided(atom.inner, divisor)[1]
    return of(Rest(value, divisor))


class Position:
    """A place in a value of a shape: an index per axis, or the row-major place, each made when
    needed.
    """

    __slots__ = ("_dims", "_flat", "key", "shape")

    def __init__(
        self,
        shape: Sequence[int],
        dims: Sequence[Expression] | None = None,
        flat: Expression | None = None,
    ) -> None:
        self.shape = tuple(shape)
        self._dims = None if dims is None else tuple(dims)
        self._flat = flat
        self.key: Key = (
            (0, *[d.key for d in self._dims])
            if self._dims is not None
            else (1, flat.key if flat is not None else None)
        )

    @property
    def dims(self) -> tuple[Expression, ...]:
        if self._dims is None:
            assert self._flat is not None
            rest, result = self._flat, []
            for extent in reversed(self.shape):
                if extent <= 1:
                    result.append(ZERO)
                    continue
                result.append(rest % extent)
                rest = rest // extent
            self._dims = tuple(result[::-1])
        return self._dims

    @property
    def flat(self) -> Expression:
        if self._flat is None:
            self._flat = linear(self.dims, contiguous_strides(self.shape))
        return self._flat

    def reshaped(self, shape: Sequence[int]) -> Position:
        if len(shape) == len(self.shape) and tuple(shape) == self.shape:
            return self
        if self._dims is not None:
            loops = [n for n in shape if n != 1]
            if loops == [n for n in self.shape if n != 1]:
                # Axis by axis: where a place may be outside (in padding), carries would not vanish.
                along = iter([d for d, n in zip(self._dims, self.shape, strict=True) if n != 1])
                return Position(shape, [ZERO if n == 1 else next(along) for n in shape])
        return Position(shape, flat=self.flat)


def linear(dims: Sequence[Expression], strides: Sequence[int], offset: int = 0) -> Expression:
    """offset + sum(dims * strides)."""
    total = offset
    terms: list[tuple[Atom, int]] = []
    for expression, stride in zip(dims, strides, strict=True):
        total += expression.constant * stride
        if stride:
            terms += [(a, c * stride) for a, c in expression.terms]
    if not terms:
        return constant(total)
    return _collected(total, terms)


def space_position(shape: Sequence[int], first: int = 0) -> Position:
    """The position with one loop variable per axis of extent over 1, numbered from `first` on."""
    dims: list[Expression] = []
    number = first
    for extent in shape:
        if extent == 1:
            dims.append(ZERO)
        else:
            dims.append(of(Variable(number, extent)))
            number += 1
    return Position(shape, dims)


def space_variables(shape: Sequence[int], first: int = 0) -> list[Variable]:
    extents = [n for n in shape if n != 1]
    return [Variable(first + i, n) for i, n in enumerate(extents)]
