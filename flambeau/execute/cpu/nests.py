"""Which loops a kernel runs: joining variables, the order of the loops, the one along the lanes,
the tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Node, node_expressions
from flambeau.execute.cpu.index import Expression, Quotient, Rest, Runtime, Variable, of
from flambeau.execute.cpu.loops import Store

# A kernel that takes longer than this (nanoseconds, estimated) is cut into TASKS pieces.
PARALLEL_THRESHOLD = 25_000
TASKS = 8
# What an access costs beside a contiguous one, when it is strided or computed per lane.
STRIDED, OPAQUE = 0.12, 0.08
# When a loop along the lanes is cut into phases, and the number of the loop over them; that of
# the lanes is the next. Neither is the number of a loop that is cut: renames are read repeatedly.
MANY_DIVISIONS, MOST_PHASES, PHASE = 4, 4, 1 << 20


@dataclass
class Nest:
    """Loops, outermost first; `lane` is among them. `rename` maps joined variables to their new
    forms.
    """

    loops: list[Variable]
    lane: Variable | None
    rename: dict[int, Expression] = field(default_factory=dict)


def expressions_of(nodes: Sequence[Node], stores: Sequence[Store]) -> list[Expression]:
    return [x for n in nodes for x in node_expressions(n)] + [s.address for s in stores]


def join(
    variables: list[Variable], expressions: Sequence[Expression]
) -> tuple[list[Variable], dict[int, Expression]]:
    """Joins neighbours that every expression steps through as one (outer = extent * inner)."""
    fixed = {a.number for x in expressions for a in x.nested() if isinstance(a, Variable)}
    steps = {
        x.key: {a.number: c for a, c in x.terms if isinstance(a, Variable)} for x in expressions
    }
    tables = list(steps.values())
    result: list[Variable] = []
    groups: list[list[Variable]] = []
    for variable in variables:
        if result and variable.number not in fixed and groups[-1][0].number not in fixed:
            outer = groups[-1][-1].number
            if all(t.get(outer, 0) == t.get(variable.number, 0) * variable.extent for t in tables):
                groups[-1].append(variable)
                continue
        result.append(variable)
        groups.append([variable])
    rename: dict[int, Expression] = {}
    joined: list[Variable] = []
    for group in groups:
        if len(group) == 1:
            joined.append(group[0])
            continue
        extent = 1
        for variable in group:
            extent *= variable.extent
            rename[variable.number] = Expression(0, ())
        whole = Variable(group[-1].number, extent)
        rename[group[-1].number] = of(whole)
        joined.append(whole)
    return joined, rename


FAR = 16  # elements: in another line of the cache


def access_quality(expression: Expression, variable: Variable) -> float:
    """How well an access runs along `variable`: 1 contiguous, less when strided or computed."""
    for atom in expression.nested():
        if isinstance(atom, Variable) and atom.number == variable.number:
            return OPAQUE
    step, picked = 0, False
    for atom, coefficient in expression.terms:
        if isinstance(atom, Variable) and atom.number == variable.number:
            step = coefficient
        elif isinstance(atom, Runtime):
            picked = True
            if any(v.number == variable.number for v in atom.node.variables):
                return OPAQUE
    if step == 0:
        return 0.9
    if picked and abs(step) >= FAR:
        return OPAQUE  # what is picked may at least lie together along the index
    return 1.0 if step in (1, -1) else STRIDED


def lane_score(variable: Variable, accesses: Sequence[Expression], lanes: int) -> float:
    """The value of running the lanes along `variable`."""
    vectors = -(-variable.extent // lanes)
    filled = variable.extent / (vectors * lanes)
    cost = sum(1 / access_quality(x, variable) for x in accesses)
    return filled * len(accesses) / cost if accesses else filled


def lane_count(nodes: Sequence[Node], stores: Sequence[Store], vector_bits: int) -> int:
    """Lanes of the widest element that the kernel computes with, at least 32 bits.

    What is likely the same in all lanes does not count: Python's numbers (float64, cast once), what
    rows have one of (an index).
    """
    bits = max(
        [32, *[8 * s.buffer.dtype.itemsize for s in stores if not s.buffer.dtype.is_complex]]
    )
    along = _adjacent(nodes, stores)
    for node in nodes:
        if node.kind not in ("literal", "position") and not along.isdisjoint(node.variables):
            bits = max(bits, elements.register_type(node.dtype).bits)
    if all(s.buffer.dtype.itemsize == 1 for s in stores) and all(
        n.dtype.itemsize == 1 for n in nodes if n.kind != "literal"
    ):
        bits = 16
    return max(vector_bits // bits, 1)


def _adjacent(nodes: Sequence[Node], stores: Sequence[Store]) -> set[Variable]:
    """The variables along which the largest buffers have neighbouring elements; if there are none,
    all of them.
    """
    accesses = [(n.data[0], n.data[1]) for n in nodes if n.kind == "load"]
    accesses += [(s.buffer, s.address) for s in stores]
    most = max([buffer.size for buffer, _ in accesses], default=0)
    found = {
        v
        for buffer, address in accesses
        if 2 * buffer.size >= most
        for v in address.atoms()
        if isinstance(v, Variable) and abs(address.coefficient(v)) == 1
    }
    return found or {v for n in nodes for v in n.variables}


def choose_nest(
    variables: list[Variable], nodes: Sequence[Node], stores: Sequence[Store], lanes: int
) -> Nest:
    """Joins, picks the lane variable, and orders the rest by the first store's strides."""
    expressions = expressions_of(nodes, stores)
    variables = sorted(variables, key=lambda v: -abs(stores[0].address.coefficient(v)))
    variables, rename = join(variables, expressions)
    if not variables:
        return Nest([], None, rename)
    accesses = [n.data[1] for n in nodes if n.kind == "load"] + [s.address for s in stores]
    # A store costs about twice a load when it is scattered.
    accesses += [s.address for s in stores]
    if rename:
        accesses = [x.replaced(lambda v: rename.get(v.number)) for x in accesses]
    cut = {v.number: step for v in variables if (step := phases(v, accesses)) > 1}

    def score(v: Variable) -> float:
        if v.number not in cut:
            return lane_score(v, accesses, lanes)
        whole, part = phased(v, cut[v.number])
        moved = [x.replaced(lambda a: whole if a.number == v.number else None) for x in accesses]
        return lane_score(part, moved, lanes)

    best = max(reversed(variables), key=score)
    main = stores[0].address
    if rename:
        main = main.replaced(lambda v: rename.get(v.number))
    rest = [v for v in variables if v.number != best.number]
    rest.sort(key=lambda v: -abs(main.coefficient(v)))
    if best.number in cut:
        step = cut[best.number]
        whole, part = phased(best, step)
        rename, best = {**rename, best.number: whole}, part
        rest.append(Variable(PHASE, step))
    return Nest([*rest, best], best, rename)


def phased(variable: Variable, step: int) -> tuple[Expression, Variable]:
    """A variable as every `step`-th place of each phase, and the loop over those."""
    part = Variable(PHASE + 1, variable.extent // step)
    return of(part).times(step) + of(Variable(PHASE, step)), part


def phases(variable: Variable, accesses: Sequence[Expression]) -> int:
    """Into how many loops to cut one along the lanes, each over every so many-th place (1: none).

    Where windows overlap, places are divided by their step, and lanes would look at each window by
    themselves. Every second place by itself, windows are neighbours.
    """
    divisors = []
    for expression in accesses:
        for atom, _ in expression.terms:
            inside = isinstance(atom, (Quotient, Rest)) and atom.inner.coefficient(variable)
            if inside and isinstance(atom, (Quotient, Rest)):
                divisors.append(atom.divisor if inside == 1 else 0)
    if len(divisors) < MANY_DIVISIONS or len(set(divisors)) > 1:
        return 1
    step = divisors[0]
    return step if 1 < step <= MOST_PHASES and variable.extent % step == 0 else 1


def body_cost(nodes: Sequence[Node]) -> float:
    """Vector instructions of one pass over the body."""
    total = 0.0
    for node in nodes:
        if node.kind == "op":
            total += elements.cost_of(node.data[0])
        elif node.kind in ("load", "guarded", "index"):
            total += 1
    return total


def task_count(points: int, cost: float, lanes: int, moved: float) -> int:
    """Tasks for `points` passes of `cost` vector instructions that move `moved` bytes each."""
    time = points * max(cost / lanes / 4, moved / 12)
    return TASKS if time > PARALLEL_THRESHOLD else 1
