"""A chain of layers that is recorded again in one piece, as it was recorded before.

Note: known passes
    The second time that a `Sequential` of layers of this package takes a recording from one place
    in the tree to the same other place, what it did is written down: which tensors entered, which
    were made, in which order. From then on a call that begins at that place, with an input and
    parameters that stand to the recording as they did then, moves it on in one go: the keys of its
    events would be the same, and so would be all that they lead to.

    What layers do depends on their attributes, modes and hooks (`CHANGES` counts every edit), on
    the functions and methods they call (looked at, since programs replace them), on the place in
    the tree (grad mode and autocast are part of it), and on the tensors (looked at one by one).
    Anything else, and the layers are called one by one as always.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.core.notice import PACKAGE
from flambeau.nn._torch import F, Parameter, Tensor
from flambeau.nn.modules.module import Module
from flambeau.record.changes import CHANGES
from flambeau.record.entering import NATIVE, lost
from flambeau.record.events import ENTER_ALL
from flambeau.record.meta import Meta
from flambeau.record.recorder import LOCAL
from flambeau.record.recording import CLOSED, Flushed
from flambeau.tensor import overriding

if TYPE_CHECKING:
    from flambeau.record.pieces import Piece

PASSES = 8  # known ones of a chain
ATTEMPTS = 32  # calls in which nothing could be learnt, after which a chain is left alone
new = object.__new__
_call = Module.__call__


class Given(NamedTuple):
    """Where the input enters: its base in the pass and in the recording, its number there."""

    base: int
    base_number: int
    number: int
    itemsize: int


class Pass:
    """What the calls of a chain from one place in the tree add to a recording."""

    __slots__ = (
        "after",
        "bases",
        "before",
        "entries",
        "first",
        "given",
        "handles",
        "made",
        "piece",
        "present",
        "result",
        "scalars",
        "taken",
    )

    def __init__(self, before: Any, after: Any) -> None:
        self.before = before
        self.after = after
        self.piece: Piece | None = None  # all of it as one native call
        self.first: int = before.count
        self.bases: list[Any] = []
        self.scalars: list[Any] = []
        self.handles: list[Any] = []  # what enters; None in the places of what is made
        self.made: list[tuple[int, int, Meta]] = []  # (place in handles, number, meta)
        # Parameters and buffers that enter: (tensor, storage, meta, offset, base, number).
        self.entries: list[tuple[Any, Any, Meta, int, int, int]] = []
        self.present: list[tuple[Any, int]] = []  # what has entered before, and its number
        self.given: Given | None = None  # the input, where it enters
        self.taken: set[int] = set()  # the storages of entries
        self.result = -1

    def repeat(self, rec: Any, x: Any) -> Any:
        """Adds it to a recording; the result, or None where something is not as it was (and nothing
        has happened).
        """
        seen = self.given is None and x._storage is not None and x._storage.exposed
        if NATIVE.repeat is not None and not seen:
            piece = self.piece or self.cut(x)
            result = NATIVE.repeat(piece.address, rec, x)
            if result is not None:
                return result
        for tensor, number in self.present:
            if tensor._rec is not rec or tensor._num != number:
                return None
        for tensor, storage, meta, offset, _, _ in self.entries:
            if (
                tensor._storage is not storage
                or tensor._meta is not meta
                or tensor._rec is rec
                or tensor._offset != offset
                or storage.exposed
                or tensor._family is not None
            ):
                return None
            other = storage.recording
            if other is not None and (other is rec or not other.done):
                return None
        given = self.given
        bases, handles = self.bases, self.handles.copy()
        first = self.first
        if given is not None:
            storage = x._storage
            if storage is None or storage.exposed or x._family is not None:
                return None
            other = storage.recording
            if (other is not None and (other is rec or not other.done)) or (
                id(storage) in self.taken
            ):
                return None
            start = x._offset * given.itemsize if x._offset else 0
            bases = bases.copy()
            bases[given.base] = (storage, start)
            handles[given.number - first] = x
        elif x._storage is not None and x._storage.exposed:
            return None
        for place, number, meta in self.made:
            out = handles[place] = new(Tensor)
            out._meta = meta
            out._rec = rec
            out._num = number
        rec.state = self.after
        rec.bases += bases
        rec.scalars += self.scalars
        rec.handles += handles
        for tensor, storage, meta, offset, base, number in self.entries:
            other = storage.recording
            if other is not None and not other.done and lost(rec, storage):
                continue
            storage.recording = tensor._rec = rec
            storage.base = base
            storage.offset = offset * meta.dtype.itemsize if offset else 0
            storage.dtype = meta.dtype
            tensor._num = number
        if given is not None:
            storage = x._storage
            other = storage.recording
            if other is not None and not other.done and lost(rec, storage):
                return handles[self.result]
            storage.recording = x._rec = rec
            storage.base = given.base_number
            storage.offset = start
            storage.dtype = x._meta.dtype
            x._num = given.number
        return handles[self.result]

    def cut(self, x: Any) -> Piece:
        """What it is as one native call."""
        from flambeau.record.pieces import Entry, Input, Piece

        given, handles = self.given, list(self.handles)
        for place, number, meta in self.made:
            handles[place] = (meta, number)
        entries = [
            Entry(tensor, storage, meta, offset, base, number)
            for tensor, storage, meta, offset, base, number in self.entries
        ]
        entering = None if given is None else Input(x._meta, given.base_number, given.number)
        self.piece = Piece(
            self.before,
            self.after,
            entries,
            handles,
            self.bases,
            self.scalars,
            self.present,
            entering,
            self.result,
        )
        return self.piece


class Chain:
    """The known passes of a `Sequential`."""

    __slots__ = ("attempts", "changes", "functions", "last", "methods", "names", "passes", "ran")

    def __init__(self) -> None:
        self.passes: dict[Any, Pass] = {}
        self.last: dict[Any, Any] = {}  # where the last passes that were not known have led
        self.changes = -1
        self.attempts = 0
        # What the layers run: methods (of which classes, their names), functions of `F` (names).
        self.methods: tuple[list[type], list[str]] = ([], [])
        self.names: list[str] = []
        self.ran: tuple[Any, ...] = ()
        self.functions: list[Any] = []

    def __reduce__(self) -> Any:
        return Chain, ()  # a copied or loaded module learns anew

    def __deepcopy__(self, memo: Any) -> Chain:
        return Chain()

    def run(self, chain: Any, x: Any, call: Callable[[Any], Any]) -> Any:
        """The result of the layers of `chain`, which `call` calls one by one."""
        if (
            x.__class__ is not Tensor
            or self.attempts > ATTEMPTS
            or (overriding.State.active and overriding.LOCAL.modes)
        ):
            return call(x)
        rec = LOCAL.rec
        before = rec.state
        place = (before, x._num if x._rec is rec else x._meta)
        if self.changes != CHANGES.count or not self.unpatched():
            self.forget()
        else:
            known = self.passes.get(place)
            if known is not None:
                try:
                    result = known.repeat(rec, x)
                except Flushed:
                    return self.run(chain, x, call)
                if result is not None:
                    return result
        result = call(x)
        if LOCAL.rec is rec and CHANGES.count == self.changes:
            self.learn(chain, rec, place, x, result)
        return result

    def forget(self) -> None:
        self.changes = CHANGES.count
        self.passes, self.last = {}, {}
        self.methods, self.names, self.ran, self.functions = ([], []), [], (), []

    def unpatched(self) -> bool:
        """Whether layers still run the functions they ran."""
        return (
            tuple(map(getattr, *self.methods)) == self.ran
            and [*map(F.__dict__.get, self.names)] == self.functions
            and Module.__call__ is _call
            and not Module._hooked
        )

    def learn(self, chain: Any, rec: Any, place: Any, x: Any, result: Any) -> None:
        """Writes a pass down once it has come back."""
        if self.last.get(place) is not rec.state:
            if len(self.last) >= PASSES:
                self.last.clear()
            self.last[place] = rec.state
            self.attempts += 1
            return
        del self.last[place]
        layers = list(_layers(chain))
        methods = [run for kind in {type(layer) for layer in layers} for run in _methods_of(kind)]
        names = {name for _, _, run in methods for name in run.__code__.co_names}
        names = {name for name in names if callable(F.__dict__.get(name))}
        functions = [F.__dict__[name] for name in names]
        own = _plain(layers) and all(map(_is_own, [*functions, *[run for _, _, run in methods]]))
        made = describe(chain, layers, rec, place[0], x, result) if own else None
        if made is None:
            self.attempts += 4
            return
        if len(self.passes) >= PASSES:
            self.passes = {}
        self.attempts = 0
        self.methods = [kind for kind, _, _ in methods], [name for _, name, _ in methods]
        self.ran = tuple([run for _, _, run in methods])
        self.names, self.functions = list(names), functions
        self.passes[place] = made


def _layers(chain: Any) -> Iterator[Any]:
    for module in chain.modules():
        if module is not chain:
            yield module


def _plain(layers: list[Any]) -> bool:
    """Whether these are layers of this package as they are, which run nothing of the user's."""
    return all(
        type(layer).__name__ in LAYERS
        and type(layer).__module__.startswith(__package__ + ".")
        and "forward" not in layer.__dict__
        and not layer._hooked
        for layer in layers
    )


def _methods_of(kind: type) -> list[tuple[type, str, Any]]:
    """The methods that run in a call of a layer: (class, name, function)."""
    found: dict[str, Any] = {}
    names = ["forward"]
    while names:
        name = names.pop()
        method = getattr(kind, name, None)
        own = name == "forward" or not hasattr(Module, name)
        if own and name not in found and isinstance(method, FunctionType):
            found[name] = method
            names += method.__code__.co_names
    return [(kind, name, method) for name, method in found.items()]


def _is_own(function: Any) -> bool:
    """Whether a function is this package's: not a program's in the place of one."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(PACKAGE)


def describe(
    chain: Any, layers: list[Any], rec: Any, before: Any, x: Any, result: Any
) -> Pass | None:
    """The pass that has led a recording from `before` to where it is; None where it did more than
    bring in its own tensors and make new ones.
    """
    states = []
    after, handles, bases, scalars = rec.state, rec.handles, rec.bases, rec.scalars
    if handles is CLOSED:  # another thread has run it
        return None
    state = after
    while state is not before:
        if state.parent is None or state.ended:
            return None
        states.append(state)
        state = state.parent
    if after.lengths[2:] != before.lengths[2:] or after.ops == before.ops:
        return None
    made = Pass(before, after)
    own = {id(t): t for t in itertools.chain(chain.parameters(), chain.buffers())}
    entered = []
    metas: dict[int, Meta] = {}  # of what is made, as the pass leaves it
    for state in reversed(states):
        enters = isinstance(state.key, Meta) or state.key[0] is ENTER_ALL
        if not enters and state.key[0].enters:
            return None
        for number in range(state.parent.count, state.count):
            if enters:
                entered.append(number)
            else:
                metas[number] = state.metas[number - state.number]
        for number, meta in state.effects:  # written in place: only what is made here
            if number not in metas:
                return None
            metas[number] = meta
    made.made = [(number - before.count, number, meta) for number, meta in metas.items()]
    made.handles = handles[before.count :]
    made.bases = bases[before.lengths[0] :]
    made.scalars = scalars[before.lengths[1] :]
    if len(entered) != len(made.bases):
        return None
    for base, number in enumerate(entered):
        tensor, base_number = handles[number], base + before.lengths[0]
        if tensor is x:
            made.given = Given(base, base_number, number, x._meta.dtype.itemsize)
            made.handles[number - before.count] = made.bases[base] = None
        elif id(tensor) in own and tensor.__class__ in (Tensor, Parameter):
            storage = tensor._storage
            made.entries.append(
                (tensor, storage, tensor._meta, tensor._offset, base_number, number)
            )
            made.taken.add(id(storage))
        else:
            return None
    for place, _, _ in made.made:
        if made.handles[place] is result:
            made.result = place
        made.handles[place] = None
    if made.result < 0 or len(made.taken) != len(made.entries):
        return None
    # By class: the interpreter is quicker where one line sees few of them in turn.
    made.entries.sort(key=lambda entry: entry[0].__class__ is Tensor)
    if any(t._rec is rec and t.__class__ not in (Tensor, Parameter) for t in own.values()):
        return None  # subclasses may have an opinion
    made.present = [(t, t._num) for t in own.values() if t._rec is rec and t._num < before.count]
    return made


LAYERS = frozenset(
    """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d AvgPool1d AvgPool2d
    BatchNorm1d BatchNorm2d BatchNorm3d CELU Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d
    Dropout Dropout2d ELU Flatten GELU GroupNorm Hardsigmoid Hardswish Hardtanh Identity LayerNorm
    LeakyReLU Linear LogSigmoid LogSoftmax MaxPool1d MaxPool2d Mish PReLU RMSNorm ReLU ReLU6 SELU
    Sequential SiLU Sigmoid Softmax Softplus Softsign Tanh Unflatten Upsample ZeroPad2d
    """.split()
)
