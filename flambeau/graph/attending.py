"""Attention written out by hand, found in graphs: what `ops/attention.py` has as one primitive.

Note [Attention by hand]
    Programs write softmax(q @ k.transpose(-2, -1) * scale + mask, -1) @ v in as many ways as there
    are authors. From the last product down, what is looked for is

        dot(w, v)          v of the weights' batch axes
        w = p kept         a dropout's factors, or none
        p = softmax(s)     as `functional/softmax.py` composes it, or safe of rows that see nothing
        s = where(hidden, fill, added + factor dot(q, k^T))    each part but the product optional

    with changes of shape that keep the last two axes anywhere. A backward pass that comes to such a
    product goes on with q, k and v (`graph/reverse.py`), so that no later program needs the
    weights. Before programs are compiled, products whose weights nobody else reads become
    `attention` itself (`with_attention`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.core import dtypes
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter, constant_of
from flambeau.ops import arithmetic as ar
from flambeau.ops import attention as at
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.contraction import swap_last
from flambeau.ops.value import Shape, Value

# Fewer rows do not pay for packing the keys; kernels take features by 16.
LEAST_ROWS, FEATURES = 8, 16
DEEPEST = 16  # steps from the weights to the scores' product


class Attended(NamedTuple):
    """Attention that ends in a product. Pieces are values of the graph, without broadcasts."""

    q: Value
    turned: Value  # k, transposed
    v: Value
    lead: Shape  # the batch axes, of two where some step has two
    inner: tuple[Value, ...]  # what leads from q, k and v to the product, helpers included
    safe: bool = False
    factors: tuple[tuple[Value, bool], ...] = ()  # with whether scores are divided by it
    added: tuple[Value, ...] = ()
    hidden: tuple[tuple[Value, bool], ...] = ()  # with whether it keeps instead
    fill: Value | None = None
    kept: Value | None = None
    kept_scale: float = 1.0

    def pieces(self) -> list[Value]:
        """All values that the primitive's operands are made from: q, k^T and v first."""
        found = [self.q, self.turned, self.v, *[x for x, _ in self.factors], *self.added]
        found += [x for x, _ in self.hidden]
        return found + [x for x in (self.fill, self.kept) if x is not None]

    def operands(self, new: Callable[[Value], Value]) -> tuple[list[Value], dict[str, Any]]:
        """Operands and attributes of `attention`, from what `new` gives for the pieces."""
        scale, factor = 1.0, None
        for x, divides in self.factors:
            number = constant_of(x)
            if number is not None:
                scale = scale / number if divides else scale * number
                continue
            one = _scalar(new(x))
            one = el.reciprocal(one) if divides else one
            factor = one if factor is None else ar.mul(factor, one)
        added, hidden = None, None
        for x in self.added:
            mask = self._mask(new(x))
            added = mask if added is None else ar.add(added, mask)
        for x, keeps in self.hidden:
            mask = self._mask(new(x))
            mask = el.bitwise_not(mask) if keeps else mask
            hidden = mask if hidden is None else ar.bitwise_or(hidden, mask)
        given = {
            "factor": factor,
            "added": self._wide(added),
            "hidden": self._wide(hidden),
            "fill": None if self.fill is None else _scalar(new(self.fill)),
            "kept": None if self.kept is None else self._wide(self._mask(new(self.kept))),
        }
        names = tuple([name for name in at.EXTRAS if given[name] is not None])
        q, turned, v = new(self.q), new(self.turned), new(self.v)
        k = swap_last(self._matrix(turned))
        matrices = [self._matrix(q), k, self._matrix(v)]
        extras = [x for x in (given[name] for name in names) if x is not None]
        attrs = at.attributes(scale, False, self.safe, names, self.kept_scale)
        return [*matrices, *extras], attrs

    def _matrix(self, x: Value) -> Value:
        return view.reshape(x, shape=(*self.lead, *x.shape[-2:]))

    def _mask(self, x: Value) -> Value:
        lead = x.shape[:-2]
        if len(lead) < 2:
            count = lead[0] if lead else 1
            lead = (1, 1) if count == 1 else self.lead
        return view.reshape(x, shape=(*lead, *x.shape[-2:]))

    def _wide(self, x: Value | None) -> Value | None:
        """With all columns."""
        return None if x is None else ar.expand(x, (*x.shape[:3], self.turned.shape[-1]))

    def cotangents(self, ct: Value, new: Callable[[Value], Value]) -> list[tuple[Value, Value]]:
        """q, k^T and v with their cotangents, for that of the product."""
        operands, attrs = self.operands(new)
        dq, dk, dv = at.gradients(self._matrix(ct), operands, attrs)
        parts = (self.q, dq), (self.turned, swap_last(dk)), (self.v, dv)
        return [(x, view.reshape(d, shape=x.shape)) for x, d in parts]


def _scalar(x: Value) -> Value:
    return view.reshape(x, shape=()) if x.shape else x


# ---- reading a graph -----------------------------------------------------------------------------


class _Reader:
    def __init__(self) -> None:
        self.inner: list[Value] = []
        self.leads: set[Shape] = set()

    def below(self, v: Value) -> Value:
        """What a change of shape that keeps rows and columns shows."""
        while v.primitive.name == "reshape" and v.shape[-2:] == v.inputs[0].shape[-2:]:
            self.inner.append(v)
            self.leads.add(v.shape[:-2])
            v = v.inputs[0]
        return v

    def read(self, product: Value) -> Attended | None:
        w, v = product.inputs
        self.leads |= {product.shape[:-2], w.shape[:-2]}
        w = self.below(w)
        found = self.softmax(w)
        if found is None and w.primitive.name == "mul":
            for weights, keep in (w.inputs, w.inputs[::-1]):
                mark = len(self.inner)
                self.inner.append(w)
                found = self.softmax(self.below(weights))
                if found is not None:
                    kept, scale = _kept(keep)
                    found = found._replace(kept=kept, kept_scale=scale)
                    break
                del self.inner[mark:]
        return None if found is None else self.settled(found._replace(v=v))

    def settled(self, found: Attended) -> Attended | None:
        """With the batch axes that all steps agree on."""
        self.leads |= {found.q.shape[:-2], found.turned.shape[:-2]}
        two = {lead for lead in self.leads if len(lead) == 2}
        if len(two) > 1 or any(len(lead) > 2 for lead in self.leads):
            return None
        lead = two.pop() if two else (*max(self.leads, key=len), 1, 1)[:2]
        masks = [*found.added, *[x for x, _ in found.hidden]]
        masks += [] if found.kept is None else [found.kept]
        scores = (found.q.shape[-2], found.turned.shape[-1])
        for x in masks:
            if len(x.shape) < 2 or len(x.shape) > 4:
                return None
            of, fits = x.shape[:-2], zip(x.shape[-2:], scores, strict=True)
            if not all(n in (1, m) for n, m in fits):
                return None
            if len(of) == 2 and not all(n in (1, m) for n, m in zip(of, lead, strict=True)):
                return None
            if len(of) == 1 and of[0] not in (1, lead[0] * lead[1]):
                return None
        return found._replace(lead=lead, inner=tuple(self.inner))

    def softmax(self, p: Value) -> Attended | None:
        """p = e / sum(e), e = exp(s - max(s))."""
        if p.primitive.name != "mul":
            return None
        e, part = p.inputs
        inverse = _column(part)
        if inverse is None or inverse.primitive.name != "reciprocal":
            return None
        total, safe = _unless_none(inverse.inputs[0], 1.0)
        if e.primitive.name != "exp" or e.inputs[0].primitive.name != "sub":
            return None
        s, most = e.inputs[0].inputs
        top = _column(most)
        if total.primitive.name != "sum" or total.inputs[0] is not e or top is None:
            return None
        top, also = _unless_none(_plain(top), 0.0)
        top = _plain(top)
        last = (p.ndim - 1,)
        if top.primitive.name != "max" or not (top.attrs["axes"] == total.attrs["axes"] == last):
            return None
        if _plain(top.inputs[0]) is not _plain(s) or safe is not also:
            return None
        mark = len(self.inner)
        self.inner += [p, e, e.inputs[0], *_helpers(part, (e, s)), *_helpers(most, (s,))]
        found = self.scores(s, "hidden", 0)
        if found is None:
            del self.inner[mark:]
            return None
        return found._replace(safe=safe)

    def scores(self, s: Value, stage: str, depth: int) -> Attended | None:
        """where(hidden, fill, added + factor dot(q, k^T)), from the outside in."""
        mark = len(self.inner)
        s = self.below(s)
        self.inner.append(s)
        name, found = s.primitive.name, None
        if depth > DEEPEST:
            found = None
        elif name == "dot" and not s.attrs:
            q, turned = s.inputs
            found = Attended(q, turned, turned, (), ())
        elif name == "where" and stage == "hidden":
            found = self.filled(s, depth)
        elif name == "add" and stage != "factor":
            for one, mask in (s.inputs, s.inputs[::-1]):
                found = self.scores(one, "added", depth + 1)
                if found is not None:
                    found = found._replace(added=(*found.added, _narrow(mask)))
                    break
        elif name in ("mul", "div"):
            for one, other in (s.inputs, s.inputs[::-1])[: 1 if name == "div" else 2]:
                factor = _narrow(other)
                found = None
                if factor.size == 1 and other.size > 1:
                    found = self.scores(one, "factor", depth + 1)
                if found is not None:
                    found = found._replace(factors=((factor, name == "div"), *found.factors))
                    break
        if found is None:
            del self.inner[mark:]
        return found

    def filled(self, s: Value, depth: int) -> Attended | None:
        condition, first, second = s.inputs
        for fill, one, keeps in ((first, second, False), (second, first, True)):
            number = _narrow(fill)
            if number.size != 1 or fill.size == 1:
                continue
            found = self.scores(one, "hidden", depth + 1)
            if found is None:
                continue
            if found.fill is not None and not _same_number(found.fill, number):
                return None
            hidden = (*found.hidden, (_narrow(condition), keeps))
            return found._replace(hidden=hidden, fill=number)
        return None


def _plain(v: Value) -> Value:
    """Below autograd's links and reshapes that change nothing."""
    while v.primitive.name == "detach" or (
        v.primitive.name == "reshape" and v.shape == v.inputs[0].shape
    ):
        v = v.inputs[0]
    return v


def _column(v: Value) -> Value | None:
    """The reduction's result that `spread` repeats along the last axis."""
    if v.primitive.name != "expand" or v.inputs[0].primitive.name != "reshape":
        return None
    narrow = v.inputs[0]
    fits = narrow.shape == (*v.shape[:-1], 1) and narrow.inputs[0].shape == v.shape[:-1]
    return narrow.inputs[0] if fits else None


def _unless_none(v: Value, otherwise: float) -> tuple[Value, bool]:
    """(what is under where(top is -inf, otherwise, ..), whether there is such a choice)."""
    if v.primitive.name == "where" and constant_of(v.inputs[1]) == otherwise:
        condition = v.inputs[0]
        if condition.primitive.name == "eq" and constant_of(condition.inputs[1]) == -at.INFINITY:
            return v.inputs[2], True
    return v, False


def _helpers(top: Value, ends: Sequence[Value]) -> list[Value]:
    """What lies between a value and what it folds, which is not among them."""
    found: list[Value] = []
    stack = [top]
    last = {_plain(v) for v in ends}
    while stack:
        v = stack.pop()
        if _plain(v) in last or v in found or constant_of(v) is not None:
            continue
        found.append(v)
        stack += v.inputs
    return found


def _narrow(x: Value) -> Value:
    """What is broadcast."""
    if x.primitive.name == "expand":
        x = x.inputs[0]
    while x.size == 1 and x.primitive.name == "reshape":
        x = x.inputs[0]
    return x


def _kept(x: Value) -> tuple[Value, float]:
    """A dropout's factors: what was drawn, and what that is multiplied by."""
    if x.primitive.name == "div" and x.inputs[0].primitive.name == "cast":
        number, drawn = constant_of(x.inputs[1]), x.inputs[0].inputs[0]
        if number and drawn.dtype in (dtypes.bool_, dtypes.float32):
            return drawn, 1.0 / number
    if x.primitive.name == "div" and constant_of(x.inputs[1]):
        return _narrow(x.inputs[0]), 1.0 / constant_of(x.inputs[1])
    return _narrow(x), 1.0


def _same_number(a: Value, b: Value) -> bool:
    number = constant_of(a)
    return a is b or (number is not None and number == constant_of(b))


def attention_of(product: Value) -> Attended | None:
    """The attention that ends in a matrix product, if one does."""
    if product.primitive.name != "dot" or product.attrs or not product.size:
        return None
    if product.dtype is not dtypes.float32:
        return None
    w, v = product.inputs
    if product.shape[-2] < LEAST_ROWS or v.shape[-1] % FEATURES or w.primitive.name == "input":
        return None
    found = _Reader().read(product)
    if found is None or found.q.shape[-1] % FEATURES or not found.q.shape[-1]:
        return None
    return found


def with_attention(program: Program, takes: Callable[[Value], bool]) -> Program:
    """The program with products whose weights nobody else reads as `attention`, where `takes` it.

    The results are the same but for rounding.
    """
    nodes = program.nodes()
    products = {v: found for v in nodes if (found := attention_of(v)) is not None}
    if not products:
        return program
    outputs = set(program.outputs())
    readers: dict[Value, list[Value]] = {}
    for v in nodes:
        for x in v.inputs:
            readers.setdefault(x, []).append(v)
    chosen: dict[Value, Attended] = {}
    for v, found in products.items():
        own = {*found.inner, v}
        if all(x not in outputs and own.issuperset(readers.get(x, ())) for x in found.inner):
            chosen[v] = found
    rewriter: Rewriter

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        found = chosen.get(v)
        if found is None:
            return None
        operands, attrs = found.operands(lambda x: rewriter.new[x])
        result = at.attention(*operands, **attrs)
        return view.reshape(result, shape=v.shape) if takes(result) else None

    rewriter = Rewriter(rule)
    return rewriter.program(program) if chosen else program


def uses(found: Attended, product: Value) -> list[tuple[Value, Sequence[Value]]]:
    """The values that a backward pass goes through, the product first, each with what PyTorch's
    derivative of it looks at.
    """
    seen: list[tuple[Value, Sequence[Value]]] = [(product, product.inputs)]
    for x in found.inner:
        name = x.primitive.name
        used: Sequence[Value] = ()
        if name == "dot":
            used = x.inputs
        elif name == "where":
            used = x.inputs[:1]
        elif name == "exp":
            used = (x,)
        elif name == "mul":
            used = [x] if _column(x.inputs[1]) is not None else x.inputs[1:]
        if x.tracked:
            seen.append((x, used))
    return seen
