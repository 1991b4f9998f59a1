"""A program made ready for running it op by op: places for the values, and only work that is left.

Links of autograd are other names of a value; constants are computed once; the operands of
elementwise functions are broadcast by NumPy itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np

from flambeau.core.dtypes import (
    DType,
    bfloat16,
    bfloat16_from_float32,
    float32_from_bfloat16,
)
from flambeau.execute.reference.blas import one_thread
from flambeau.graph.outline import Outline
from flambeau.graph.program import Program, Update, data_operands, reachable
from flambeau.ops.primitive import (
    ATTENTION,
    CONTRACTION,
    ELEMENTWISE,
    INDEXED,
    RANDOM,
    RECURRENCE,
    REDUCTION,
    SOURCE,
    VIEW,
    WINDOW,
    Array,
    Primitive,
)
from flambeau.ops.value import Scalar, Value, leave_to_reference_counts
from flambeau.ops.view import View

LINKS = frozenset(("leaf", "history", "detach", "relink"))
# Functions of broadcast operands.
BROADCASTING = frozenset(
    ("add", "sub", "mul", "div", "where", "fma", "eq", "ne", "lt", "le", "gt", "ge")
    + ("maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor")
)
# Functions whose reference is a loop in Python, and from how many elements on that takes long.
LOOPS = ("erf", "erfc", "erfinv", "lgamma", "digamma")
LONG_LOOP = 1024
# Families whose primitives take any data.
CERTAIN = (SOURCE, VIEW, RANDOM, ELEMENTWISE, CONTRACTION, REDUCTION, WINDOW)
WITHOUT_PRODUCTS = (SOURCE, VIEW, ELEMENTWISE, REDUCTION, WINDOW, INDEXED)
CHEAP_COPY = 1 << 16  # bytes
COMES_BACK = 2  # programs of one outline from which on more are expected

# (the values of a program that take long, what was kept of earlier runs) -> (value, operands) ->
# its value where there is a shorter way, or None.
Shortcut = Callable[[Value, Sequence[Array]], "Array | None"]
Shortcuts = Callable[[Iterable[Value], dict[Any, Any]], Shortcut]


@cache
def _meaning(primitive: Primitive) -> Callable[..., Any]:
    """Its `reference`, as one object for all steps."""
    return primitive.reference


@cache
def computing_dtype(dtype: DType) -> Any:
    """What NumPy computes with; None for bfloat16, which travels as float32 and is rounded."""
    return None if dtype.name == "bfloat16" else np.dtype(dtype.numpy)


def takes_long(v: Value) -> bool:
    """Whether a kernel for this value alone is worth having."""
    if v.primitive.family in (ATTENTION, RECURRENCE):
        return True
    return v.primitive.name in LOOPS and v.size >= LONG_LOOP and v.dtype.itemsize >= 4


class Schedule:
    """A program's steps: (value, function, operands' places, attributes, place, dtype, shape,
    places that nobody reads any more). Of a step that makes several values: (the last of them,
    function, operands' places, {}, places, None, None, ..), or with attributes where its function
    writes into results (`direct`); of a view that is made ready there are no attributes (None).
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kept: dict[Any, Any] = {}  # by shortcuts, for later runs
        self.joined = False  # whether some steps are calls of kernels
        self.whole: Any = None  # what runs all steps at once, on addresses
        self.recipe: Recipe | None = program.outline.structure.kept.get(Recipe)
        if self.recipe is None or not self.recipe.prepare(self):
            self._build()

    def _build(self) -> None:
        """Makes all of it, and a recipe once programs of this outline have come back."""
        program, outline = self.program, self.program.outline
        nodes = reachable(program.outputs(), data=True)
        self._places: dict[Value, int] | None = {}
        self.start: list[Any] = []  # what stands in the places before: constants
        self._steps: list[Any] | None = []
        self.bases: list[tuple[int, int, int, DType]] = []  # place, base, extent, dtype
        self.scalars: list[tuple[int, int, Any]] = []
        self.constants: list[tuple[Value, tuple[int, ...]]] = []  # with their operands' places
        self.raises = False  # whether what would be a constant cannot be computed
        with np.errstate(all="ignore"):
            for node in nodes:
                self._add(node)
        self.results = [(self.places[v], v.dtype) for v in program.results]
        self.updates = [(u.base, self.places[u.value], u.value.dtype) for u in program.updates]
        self.fills = self._filled(nodes, program.updates)
        self.updates = [u for u in self.updates if u[0] not in self.fills.values()]
        # Whether NumPy's matrix library may take part.
        self.multiplies = any(v.primitive.family not in WITHOUT_PRODUCTS for v in nodes)
        self.replace_steps(self.steps)
        self.recipe = None
        if outline.structure.seen >= COMES_BACK and not self.raises:
            self.recipe = outline.structure.kept[Recipe] = Recipe(self)

    def fresh_recipe(self) -> Recipe | None:
        """The recipe of its outline, if there is one by now: its steps are then as that says."""
        if self.recipe is None:
            self.recipe = self.program.outline.structure.kept.get(Recipe)
            again = self.recipe is not None
        else:
            again = self.joined
        if again and self.recipe is not None:
            self.joined, self.whole = False, None
            if not self.recipe.prepare(self):
                self.recipe = None
                self._build()
        return self.recipe

    @property
    def places(self) -> dict[Value, int]:
        """Where each value is found."""
        if self._places is None:
            assert self.recipe is not None
            pairs = zip(self.program.outline.nodes, self.recipe.places, strict=True)
            self._places = {v: place for v, place in pairs if place >= 0}
        return self._places

    @property
    def steps(self) -> list[Any]:
        if self._steps is None:
            assert self.recipe is not None
            outline = self.program.outline
            self._steps = [self.recipe.step(outline, k) for k in range(len(self.recipe.steps))]
        return self._steps

    def _filled(self, nodes: Sequence[Value], updates: Sequence[Update]) -> dict[int, int]:
        """In programs that cannot raise: the places of draws that fill bases nobody reads, and the
        bases. They live there at once, since a model's first weights are as large as the model.
        """
        if not updates or any(v.primitive.family not in CERTAIN for v in nodes):
            return {}
        if any(v.primitive.name in ("remainder", "fmod", "floor_div") for v in nodes):
            return {}
        found: dict[int, int] = {}
        taken = {index for _, index, _, _ in self.bases}
        for update in updates:
            v = update.value
            while v.primitive.name == "reshape":
                v = v.inputs[0]
            plain = v.primitive.name == "random_draw" and v.dtype.name != "bfloat16"
            if plain and update.base not in taken and self.places[v] not in found:
                found[self.places[v]] = update.base
            taken.add(update.base)
        return found

    def _new(self, node: Value, array: Any = None) -> int:
        place = self.places[node] = len(self.start)
        self.start.append(array)
        return place

    def _add(self, node: Value) -> None:
        name = node.primitive.name
        if name == "input":
            index, place = node.attrs["index"], self._new(node)
            if node.attrs["role"] == "base":
                self.bases.append((place, index, node.shape[0], node.dtype))
            else:
                self.scalars.append((place, index, node.dtype.numpy))
            return
        places = self.places
        operands = data_operands(node) if name == "relink" else node.inputs
        if name in LINKS and operands[0].shape == node.shape:
            places[node] = places[operands[0]]
            return
        if name == "reshape":
            while operands[0].primitive.name == "reshape":
                operands = operands[0].inputs
            if operands[0].shape == node.shape:
                places[node] = places[operands[0]]
                return
        elif name in BROADCASTING and node.primitive.family == ELEMENTWISE:
            operands = _unexpanded(node, operands)
        given = tuple([places[v] for v in operands])
        arrays = [self.start[place] for place in given]
        function, attrs = made_ready(node, operands[0] if operands else node)
        for array in arrays:
            if array is None:
                break
        else:
            try:
                self._new(node, computed(node, function, arrays, attrs or {}))
                self.constants.append((node, given))
                return
            except Exception:
                self.raises = True  # it says so where the program runs
        place = self._new(node)
        dtype = computing_dtype(node.dtype)
        self.steps.append((node, function, given, attrs, place, dtype, node.shape, ()))

    def replace_steps(self, steps: Sequence[Any]) -> None:
        """Takes these steps, leaves out those that nobody needs, and says where each value is read
        last. A step of several values has several places, and no shape.
        """
        self.whole = None
        wanted = {place for place, _ in self.results} | {place for _, place, _ in self.updates}
        wanted.update(self.fills)
        kept, read, start = [], set(wanted), self.start
        for step in reversed(steps):
            if step[6] is not None and step[4] not in read and step[0].primitive.family != "host":
                continue
            dead = []
            for place in step[2]:
                if place not in read:
                    read.add(place)
                    if start[place] is None:
                        dead.append(place)
            step = (*step[:7], tuple(dead))
            leave_to_reference_counts(step)
            kept.append(step)
        self._steps = kept[::-1]
        self.long = {step[0]: None for step in self._steps if takes_long(step[0])}

    def take_steps(self, steps: list[Any]) -> None:
        """Takes steps of which these things are known."""
        self._steps = steps
        if self.long:
            self.long = {step[0]: None for step in steps if step[0] in self.long}

    def run(
        self,
        bases: Sequence[Array],
        scalars: Sequence[Scalar],
        shortcuts: Shortcuts | None = None,
    ) -> list[Array]:
        """As `execute` in executor.py."""
        results, updates = self.compute(bases, scalars, shortcuts)
        for base, array in updates:
            bases[base][: array.size] = array
        return results

    def compute(
        self,
        bases: Sequence[Array],
        scalars: Sequence[Scalar],
        shortcuts: Shortcuts | None = None,
        into: Sequence[Array] | None = None,
    ) -> tuple[list[Array], list[tuple[int, Array]]]:
        """The results, and flat what each updated base begins with: no base is written yet. `into`:
        flat arrays for the results, in place of new ones.
        """
        arrays = self.start.copy()
        for place, index, extent, kind in self.bases:
            array = bases[index]
            if array.size != extent:
                array = array[:extent]
            arrays[place] = decode(array, kind)
        for place, index, number in self.scalars:
            arrays[place] = np.asarray(scalars[index], number)
        node: Any = None
        fills = self.fills
        targets = self.targets(into)
        stored: dict[int, Array] = {}  # of these, those that are there
        shortcut = None
        if shortcuts is not None and self.long:
            shortcut = shortcuts(self.long, self.kept)
        alone = one_thread() if self.multiplies else nullcontext()
        with np.errstate(all="ignore"), alone:
            try:
                for node, function, given, attrs, place, dtype, shape, dead in self.steps:
                    if attrs is None:
                        arrays[place] = function(arrays[given[0]])
                        for k in dead:
                            arrays[k] = None
                        continue
                    operands = [arrays[k] for k in given]
                    if shape is None:
                        if attrs:
                            made = function.direct(operands, targets, stored)
                        else:
                            made = function(*operands)
                        for k, array in zip(place, made, strict=True):
                            arrays[k] = array
                        for k in dead:
                            arrays[k] = None
                        continue
                    result = None
                    if shortcut is not None and node in self.long:
                        result = shortcut(node, operands)
                    if result is None:
                        result = function(*operands, **attrs)
                        if result.dtype != dtype:
                            result = _converted(result, dtype)
                        assert result.shape == shape, (node, result.shape)
                    if fills and place in fills:
                        drawn = bases[fills[place]][: result.size]
                        drawn[:] = result.ravel()
                        result = drawn.reshape(shape)
                    elif place in targets:
                        stored[place] = targets[place]
                        target = targets[place].reshape(shape)
                        target[...] = result
                        result = target
                    arrays[place] = result
                    for k in dead:
                        arrays[k] = None
            except Exception as error:
                # Whoever runs the program can say where it is from.
                error.__dict__.setdefault("node", node)
                raise
            updates = [(b, _apart(encode(arrays[k], kind), bases)) for b, k, kind in self.updates]
            results = self.written(arrays, into, stored)
        return results, [(b, array.ravel()) for b, array in updates]

    def targets(self, into: Sequence[Array] | None) -> dict[int, Array]:
        """Where values go as soon as they are computed: results whose form is that of storage."""
        if into is None:
            return {}
        plain = [(k, number) for number, (k, kind) in enumerate(self.results) if kind != bfloat16]
        return {k: into[number] for k, number in reversed(plain)}

    def written(
        self, arrays: list[Any], into: Sequence[Array] | None, stored: dict[int, Array]
    ) -> list[Array]:
        """The results, out of the arrays, which go one by one. Those in `stored` are where they
        belong.
        """
        last = {k: number for number, (k, _) in enumerate(self.results)}
        results = []
        for number, (k, kind) in enumerate(self.results):
            found = encode(arrays[k], kind)
            if into is None:
                results.append(np.array(found, order="C"))
            else:
                target = into[number].reshape(found.shape)
                if stored.get(k) is not into[number]:
                    target[...] = found
                results.append(target)
            if last[k] == number:
                arrays[k] = None
        return results


class Recipe:
    """How schedules of an outline are made (see Note [Outlines] in `flambeau.graph.outline`).

    Steps without what hangs on sizes: (number of the value, its function where that is no view's,
    operands' places, number of the first operand, place, dtype, places that nobody reads any more).
    """

    __slots__ = (
        "bases", "constants", "fills", "kept", "long", "multiplies", "places", "results", "scalars",
        "size", "steps", "updates",
    )  # fmt: skip

    def __init__(self, schedule: Schedule) -> None:
        outline = schedule.program.outline
        numbers = outline.numbers
        self.kept: dict[Any, Any] = {}  # what others make of such schedules
        self.size = len(schedule.start)
        self.places = [schedule.places.get(v, -1) for v in outline.nodes]
        at = {place: number for number, place in enumerate(self.places)}  # (all of one shape)
        self.bases = [(place, at[place], index, dtype) for place, index, _, dtype in schedule.bases]
        self.scalars = schedule.scalars
        self.results, self.updates = schedule.results, schedule.updates
        self.fills, self.multiplies = schedule.fills, schedule.multiplies
        read = {place for place, _ in self.results} | {place for _, place, _ in self.updates}
        self.steps: list[Any] = []
        for node, function, given, _, place, dtype, _, dead in schedule.steps:
            read.update(given)
            whole = None if isinstance(node.primitive, View) else function
            first = at[given[0]] if given else -1
            self.steps.append((numbers[node], whole, given, first, place, dtype, dead))
        self.long = [k for k, (number, *_) in enumerate(self.steps) if _may(outline.nodes[number])]
        self.constants: list[tuple[int, tuple[int, ...], int, int]] = []
        for node, given in reversed(schedule.constants):
            place = schedule.places[node]
            if place in read:
                read.update(given)
                first = at[given[0]] if given else -1
                self.constants.append((numbers[node], given, first, place))
        self.constants.reverse()

    def prepare(self, schedule: Schedule) -> bool:
        """Gives a schedule of this outline all but its steps; False where a constant raises."""
        outline = schedule.program.outline
        nodes = outline.nodes
        start: list[Any] = [None] * self.size
        with np.errstate(all="ignore"):
            try:
                for number, given, first, place in self.constants:
                    node = nodes[number]
                    function, attrs = made_ready(node, nodes[first])
                    arrays = [start[k] for k in given]
                    start[place] = computed(node, function, arrays, attrs or {})
            except Exception:
                return False
        schedule.start = start
        schedule.bases = [
            (place, index, nodes[number].shape[0], dtype)
            for place, number, index, dtype in self.bases
        ]
        schedule.scalars, schedule.results, schedule.updates = (
            self.scalars, self.results, self.updates,
        )  # fmt: skip
        schedule.fills, schedule.multiplies = self.fills, self.multiplies
        schedule.long = {}
        for k in self.long:
            node = nodes[self.steps[k][0]]
            if takes_long(node):
                schedule.long[node] = None
        schedule._steps = schedule._places = None
        return True

    def step(self, outline: Outline, number: int, dead: tuple[int, ...] | None = None) -> Any:
        """A step of a schedule (`dead`: the places that nobody reads after it, where others do)."""
        of, function, given, first, place, dtype, unread = self.steps[number]
        node = outline.nodes[of]
        attrs: dict[str, Any] | None = node.attrs
        if function is None:
            function, attrs = made_ready(node, outline.nodes[first])
        dead = unread if dead is None else dead
        step = (node, function, given, attrs, place, dtype, node.shape, dead)
        leave_to_reference_counts(step)
        return step


def made_ready(node: Value, x: Value) -> tuple[Callable[..., Any], dict[str, Any] | None]:
    """What computes a node with the first operand x, and its attributes where that needs them."""
    if isinstance(node.primitive, View):
        ready = node.primitive.ready(x, node.attrs)
        if ready is not None:
            return ready, None
    return _meaning(node.primitive), node.attrs


def _may(v: Value) -> bool:
    """Whether values like this one may take long."""
    return v.primitive.family in (ATTENTION, RECURRENCE) or v.primitive.name in LOOPS


def _apart(array: Array, bases: Sequence[Array]) -> Array:
    """The array, or a copy where writing to the bases may change it (and where that is cheap)."""
    if array.nbytes <= CHEAP_COPY or any(np.may_share_memory(array, base) for base in bases):
        return np.array(array)
    return array


def _unexpanded(node: Value, operands: tuple[Value, ...]) -> tuple[Value, ...]:
    """The operands before they were expanded, where another one has the whole shape."""
    whole = expanded = False
    for v in operands:
        if v.primitive.name == "expand":
            expanded = True
        elif v.shape == node.shape:
            whole = True
    if not (whole and expanded):
        return operands
    return tuple([v.inputs[0] if v.primitive.name == "expand" else v for v in operands])


def computed(
    node: Value, function: Callable[..., Any], operands: Sequence[Array], attrs: dict[str, Any]
) -> Array:
    """One primitive on computed operands; bfloat16 values travel as float32 arrays."""
    result = function(*operands, **attrs)
    dtype = computing_dtype(node.dtype)
    if result.dtype != dtype:
        result = _converted(result, dtype)
    assert result.shape == node.shape, (node, result.shape)
    return result  # type: ignore[no-any-return]


def _converted(result: Any, dtype: Any) -> Array:
    """A result in the dtype of its value; None is bfloat16, rounded at once, as storing would."""
    if dtype is None:
        return float32_from_bfloat16(bfloat16_from_float32(np.asarray(result, np.float32)))
    return np.asarray(result.astype(dtype))


def encode(array: Array, dtype: DType) -> Array:
    """A computed array in storage form."""
    return bfloat16_from_float32(array) if dtype.name == "bfloat16" else array


def decode(array: Array, dtype: DType) -> Array:
    """A stored array in computing form."""
    return float32_from_bfloat16(array) if dtype.name == "bfloat16" else array
