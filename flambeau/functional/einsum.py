"""Einstein summation: an equation of labels, reduced to permutes, products and batched dots.

Operands are contracted from left to right. Labels are letters; the axes of an ellipsis are numbered
from the right with negative numbers, so that ellipses of different length align as broadcasting
has it.
"""

from __future__ import annotations

import math

from flambeau.core import dtypes
from flambeau.functional.options import WHOLE
from flambeau.ops import arithmetic as ar
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.contraction import dot
from flambeau.ops.value import Value

Label = str | int
Labels = tuple[Label, ...]


def parse(equation: str, ranks: list[int]) -> tuple[list[Labels], Labels]:
    """The labels of each operand's axes and of the result's; RuntimeError in PyTorch's words."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) > len(ranks):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(terms) < len(ranks):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    operands = [
        _term(term, rank, place)
        for place, (term, rank) in enumerate(zip(terms, ranks, strict=True))
    ]
    covered = sorted({label for labels in operands for label in labels if isinstance(label, int)})
    if arrow:
        return operands, _output(right, covered, operands)
    everything = [label for labels in operands for label in labels if isinstance(label, str)]
    once = sorted(label for label in set(everything) if everything.count(label) == 1)
    return operands, (*covered, *once)


def _letters(term: str, where: str) -> list[str]:
    """The labels of a term, its ellipsis as '...'."""
    parts: list[str] = []
    at = 0
    while at < len(term):
        if term.startswith("...", at):
            if "..." in parts:
                raise RuntimeError(
                    f"einsum(): found '.' {where} for which an ellipsis was already found"
                )
            parts.append("...")
            at += 3
            continue
        letter = term[at]
        if letter == ".":
            raise RuntimeError(f"einsum(): found '.' {where} that is not part of any ellipsis")
        if not (letter.isascii() and letter.isalpha()):
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {at} in the equation string, "
                "subscripts must be in "
                "[a-zA-Z]"
            )
        parts.append(letter)
        at += 1
    return parts


def _term(term: str, rank: int, place: int) -> Labels:
    parts = _letters(term, f"for operand {place}")
    named = len(parts) - ("..." in parts)
    if "..." not in parts:
        if named != rank:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match "
                "the number of "
                f"dimensions ({rank}) for operand {place} and no ellipsis was given"
            )
        return tuple(parts)
    if named > rank:
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({named}) is more than the "
            "number of "
            f"dimensions ({rank}) for operand {place}"
        )
    at = parts.index("...")
    return (*parts[:at], *range(named - rank, 0), *parts[at + 1 :])


def _output(term: str, covered: list[int], operands: list[Labels]) -> Labels:
    parts = _letters(term, "in the output")
    known = {label for labels in operands for label in labels}
    result: list[Label] = []
    for part in parts:
        if part == "...":
            result += covered
            continue
        if part not in known:
            raise RuntimeError(
                f"einsum(): output subscript {part} does not appear in the equation for any "
                "input operand"
            )
        if part in result:
            raise RuntimeError(
                f"einsum(): output subscript {part} appears more than once in the output"
            )
        result.append(part)
    return tuple(result)


def einsum_of(operands: list[Value], equation: str) -> Value:
    """The sums of products that an equation says."""
    terms, output = parse(equation, [x.ndim for x in operands])
    _check_extents(operands, terms)
    pairs = [_without_repeats(x, labels) for x, labels in zip(operands, terms, strict=True)]
    result, labels = pairs[0]
    for place, (x, more) in enumerate(pairs[1:], 1):
        keep = set(output).union(*(term for _, term in pairs[place + 1 :]))
        result, labels = _contract((result, labels), (x, more), keep)
    result, labels = _sum_out(result, labels, set(output))
    return _arranged(result, labels, output)


def _check_extents(operands: list[Value], terms: list[Labels]) -> None:
    """Equal labels have equal extents, or 1."""
    extents: dict[Label, int] = {}
    for place, (x, labels) in enumerate(zip(operands, terms, strict=True)):
        own: dict[Label, int] = {}
        for label, n in zip(labels, x.shape, strict=True):
            if own.setdefault(label, n) != n:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {place} but the sizes "
                    "don't match, "
                    f"{n} != {own[label]}"
                )
            have = extents.get(label, 1)
            if n not in (1, have) and have != 1:
                if isinstance(label, int):
                    raise RuntimeError(
                        f"The size of tensor a ({have}) must match the size of tensor b ({n}) at "
                        "non-singleton "
                        f"dimension {label}"
                    )
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {n} for operand {place} which does "
                    "not broadcast "
                    f"with previously seen size {have}"
                )
            extents[label] = have if n == 1 else n


def _without_repeats(x: Value, labels: Labels) -> tuple[Value, Labels]:
    """Axes with the same label reduced to their diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            others = [a for a in range(x.ndim) if a not in (i, j)]
            n, rest = x.shape[i], tuple(x.shape[a] for a in others)
            square = view.reshape(view.permute(x, order=(*others, i, j)), shape=(*rest, n * n))
            x = view.slice_(
                square,
                starts=(0,) * (len(rest) + 1),
                sizes=(*rest, n),
                steps=(*(1 for _ in rest), n + 1),
            )
            labels = (*(labels[a] for a in others), label)
    return x, labels


def _sum_out(x: Value, labels: Labels, keep: set[Label]) -> tuple[Value, Labels]:
    """Sums over the labels nobody wants any more."""
    axes = tuple(a for a, label in enumerate(labels) if label not in keep)
    if not axes:
        return x, labels
    if x.dtype.kind in WHOLE:
        x = ar.cast(x, dtypes.int64)  # (as sum does)
    return red.sum_(x, axes=axes), tuple(label for label in labels if label in keep)


def _arranged(x: Value, labels: Labels, wanted: Labels) -> Value:
    order = tuple(labels.index(label) for label in wanted)
    return x if order == tuple(range(x.ndim)) else view.permute(x, order=order)


def _contract(
    left: tuple[Value, Labels], right: tuple[Value, Labels], keep: set[Label]
) -> tuple[Value, Labels]:
    """The product of two operands, summed over their common labels that nobody needs later."""
    a, la = _sum_out(*left, keep | set(right[1]))
    b, lb = _sum_out(*right, keep | set(left[1]))
    batch = tuple(label for label in la if label in lb and label in keep)
    summed = tuple(label for label in la if label in lb and label not in keep)
    mine = tuple(label for label in la if label not in lb)
    yours = tuple(label for label in lb if label not in la)
    a, b = _arranged(a, la, (*batch, *mine, *summed)), _arranged(b, lb, (*batch, *summed, *yours))
    if not summed:
        a = view.reshape(a, shape=(*a.shape, *(1 for _ in yours)))
        at = len(batch)
        b = view.reshape(b, shape=(*b.shape[:at], *(1 for _ in mine), *b.shape[at:]))
        return ar.mul(a, b), (*batch, *mine, *yours)
    return _dot(a, b, len(batch), len(summed)), (*batch, *mine, *yours)


def _dot(a: Value, b: Value, batch: int, summed: int) -> Value:
    """a [batch.., mine.., summed..] times b [batch.., summed.., yours..]; 1s broadcast."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
        )
    if a.dtype.kind == "b" and a.size and b.size:
        raise NotImplementedError("\"bmm\" not implemented for 'Bool'")
    mine = a.shape[batch : a.ndim - summed]
    yours = b.shape[batch + summed :]
    lead = _common(a.shape[:batch], b.shape[:batch])
    depth = _common(a.shape[a.ndim - summed :], b.shape[batch : batch + summed])
    a, b = ar.expand(a, (*lead, *mine, *depth)), ar.expand(b, (*lead, *depth, *yours))
    count = (math.prod(lead),) if batch else ()
    rows = view.reshape(a, shape=(*count, math.prod(mine), math.prod(depth)))
    columns = view.reshape(b, shape=(*count, math.prod(depth), math.prod(yours)))
    return view.reshape(dot(rows, columns), shape=(*lead, *mine, *yours))


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))
