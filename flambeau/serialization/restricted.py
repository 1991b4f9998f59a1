"""A reader of pickles that runs no code: what load(weights_only=True) reads files with.

Note: what a pickle can do here. A pickle is a program for a small stack machine. This machine has
its opcodes for values and containers, looks names up in a given table (nothing is imported), and
calls only what the table holds. Sizes in the file are compared with the bytes that are left before
anything is allocated; keys are of limited size, since hashing a nested tuple costs time that
doubles with each level of sharing.
"""

from __future__ import annotations

import codecs
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError, decode_long
from typing import IO, Any

from flambeau.core.dtypes import DType
from flambeau.functional.memory import TypedStorage
from flambeau.serialization.names import StorageKind, unsupported
from flambeau.serialization.rebuild import with_attributes
from flambeau.tensor.parameter import Parameter
from flambeau.tensor.tensor import Tensor

BLOCKED = frozenset({"sys", "os", "posix", "nt", "subprocess", "builtins.eval", "builtins.exec"})
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_KEY_PARTS = 10_000


class NotAllowed(UnpicklingError):
    """A name that is not in the table: `name` is it in full."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Unsupported global: GLOBAL {name} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{name}])` or the "
            f"`torch.serialization.safe_globals([{name}])` context manager to allowlist this "
            "global if you trust this class/function."
        )
        self.name = name


class Blocked(UnpicklingError):
    """A name of a module that no pickle of weights has business with."""


class _Mark:
    pass


MARK = _Mark()


class RestrictedUnpickler:
    """Reads one pickle of `file`, in which `left` bytes remain at most."""

    def __init__(
        self,
        file: IO[bytes],
        left: int,
        known: dict[str, Any],
        trusted: dict[str, Any],
        persistent_load: Callable[[Any], Any],
        encoding: str = "bytes",
    ) -> None:
        self._read = file.read
        self._line = file.readline
        self._left = left
        self._known = known
        self._trusted = trusted
        self._trusted_ids = {id(value) for value in trusted.values()}
        self._called_ids = {
            id(value) for value in known.values() if not isinstance(value, (DType, StorageKind))
        } - {id(Tensor), id(TypedStorage)}
        self._persistent_load = persistent_load
        self._encoding = encoding
        self._memo: dict[int, Any] = {}
        self._stack: list[Any] = []

    # ---- bytes ---------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        if count < 0 or count > self._left:
            raise UnpicklingError("pickle data was truncated")
        data = self._read(count)
        if len(data) != count:
            raise EOFError("Ran out of input")
        return data

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _text(self) -> bytes:
        line = self._line(1 << 16)
        if not line.endswith(b"\n"):
            raise EOFError("Ran out of input")
        return line[:-1]

    # ---- the machine ---------------------------------------------------------------------------

    def load(self) -> Any:
        """The object. UnpicklingError, and whatever nonsense in a file leads to."""
        table, read = _OPCODES, self._read
        while True:
            code = read(1)
            if not code:
                raise EOFError("Ran out of input")
            if code == b".":
                return self._pop()
            do = table.get(code[0])
            if do is None:
                raise UnpicklingError(f"Unsupported operand {code[0]}")
            do(self)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is MARK:
            raise UnpicklingError("a mark where a value belongs")
        return value

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _marked(self) -> list[Any]:
        """The values above the last mark."""
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise UnpicklingError("a mark is missing")
        values = stack[at + 1 :]
        del stack[at:]
        return values

    def _under(self, kind: Any) -> Any:
        """The container on top; it must be one that can be filled without running code."""
        value = self._stack[-1]
        if not isinstance(value, kind):
            raise UnpicklingError(f"a {type(value).__name__} cannot be filled")
        return value

    # ---- names and calls -----------------------------------------------------------------------

    def _global(self, module: str, name: str) -> None:
        module = _OLD_NAMES.get(module, module)
        full = f"{module}.{name}"
        if full in self._trusted:
            self._push(self._trusted[full])
            return
        if full in self._known:
            self._push(self._known[full])
            return
        missing = unsupported(module, name)
        if missing is not None:
            raise NotImplementedError(f"the file holds {missing}, which Flambeau does not have")
        if module in BLOCKED or full in BLOCKED:
            raise Blocked(
                f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked."
            )
        raise NotAllowed(full)

    def _is_trusted(self, obj: Any) -> bool:
        return id(obj) in self._trusted_ids

    def _callable(self, obj: Any) -> bool:
        return id(obj) in self._called_ids or self._is_trusted(obj)

    def _reduce(self) -> None:
        args = self._pop()
        function = self._stack[-1]
        if not self._callable(function) or not isinstance(args, tuple):
            raise UnpicklingError(
                f"Trying to call reduce for unrecognized function {str(function)[:200]}"
            )
        _check_arguments(function, args)
        self._stack[-1] = function(*args)

    def _new(self) -> None:
        args = self._pop()
        kind = self._stack[-1]
        if kind is not Parameter and not (isinstance(kind, type) and self._is_trusted(kind)):
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via "
                f"`add_safe_globals` but got {str(kind)[:200]}"
            )
        self._stack[-1] = kind.__new__(kind, *args)

    def _new_with_names(self) -> None:
        names = self._pop()
        args = self._pop()
        kind = self._stack[-1]
        if not (isinstance(kind, type) and self._is_trusted(kind)):
            raise UnpicklingError(f"Can only create new object for allowlisted, got {kind}")
        self._stack[-1] = kind.__new__(kind, *args, **names)

    def _build(self) -> None:
        state = self._pop()
        target: Any = self._under(object)
        if self._is_trusted(type(target)):
            restore = getattr(target, "__setstate__", None)
            if restore is not None:
                restore(state)
                return
            slots = None
            if isinstance(state, tuple) and len(state) == 2:
                state, slots = state
            target.__dict__.update(state or {})
            for name, value in (slots or {}).items():
                setattr(target, name, value)
        elif type(target) is OrderedDict and isinstance(state, dict):
            vars(target).update((str(key), value) for key, value in state.items())
        elif isinstance(target, Tensor):
            with_attributes(target, state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(target)}"
            )

    # ---- containers ----------------------------------------------------------------------------

    def _fill(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise UnpicklingError(f"a {type(target).__name__} cannot be filled")
        if len(pairs) % 2:
            raise UnpicklingError("odd number of items for SET_ITEMS")
        for key, value in zip(pairs[::2], pairs[1::2]):
            target[_key(key)] = value

    def _set_item(self) -> None:
        value = self._pop()
        key = self._pop()
        self._fill([key, value])

    def _append_all(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, set):
            target.update(_key(value) for value in values)
        else:
            raise UnpicklingError(f"a {type(target).__name__} cannot be filled")

    def _append(self) -> None:
        value = self._pop()
        self._append_all([value])

    def _get(self, place: int) -> None:
        self._push(self._memo[place])

    def _put(self, place: int) -> None:
        if self._stack[-1] is MARK:
            raise UnpicklingError("a mark where a value belongs")
        self._memo[place] = self._stack[-1]

    def _old_string(self, data: bytes) -> None:
        self._push(data if self._encoding == "bytes" else data.decode(self._encoding))

    def _persistent(self) -> None:
        identity = self._pop()
        if type(identity) is not tuple:
            raise UnpicklingError(f"persistent_load id must be tuple, got {type(identity)}")
        if not identity or identity[0] not in ("storage", b"storage"):
            raise UnpicklingError(f"Only persistent_load of storage is allowed, got {identity[:1]}")
        self._push(self._persistent_load(identity))

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise UnpicklingError("the stack is empty")
        self._push(tuple([self._pop() for _ in range(count)][::-1]))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("STACK_GLOBAL requires str")
        self._global(module, name)

    def _float_line(self) -> None:
        self._push(float(self._text()))

    def _int_line(self) -> None:
        line = self._text()
        self._push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))

    def _protocol(self) -> None:
        if self._number("<B") > 5:
            raise UnpicklingError("unsupported pickle protocol")


def _key(value: Any) -> Any:
    """A key of a dictionary or set, if hashing it is sure to end soon."""
    waiting, seen = [value], 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > _KEY_PARTS:
            raise UnpicklingError("a key of too many parts")
        if isinstance(part, (tuple, frozenset)):
            waiting.extend(part)
    return value


def _check_arguments(function: Any, args: tuple[Any, ...]) -> None:
    """Built-in constructors get what pickles of theirs have, and no demand for memory."""
    if function is bytearray or function is codecs.encode:
        if function is bytearray and args and not isinstance(args[0], (bytes, str, list)):
            raise UnpicklingError("a bytearray is made of bytes")
        if function is codecs.encode and args[1:] not in (("latin1",), ("latin-1",)):
            raise UnpicklingError("bytes are encoded in latin1 only")
    elif function in (set, OrderedDict, Counter):
        for arg in args:
            for item in arg.items() if isinstance(arg, dict) else arg:
                _key(item[0] if function is OrderedDict else item)


def _memoize(machine: RestrictedUnpickler) -> None:
    machine._put(len(machine._memo))


def _make_frozenset(machine: RestrictedUnpickler) -> None:
    machine._push(frozenset(_key(value) for value in machine._marked()))


def _fill_dict(machine: RestrictedUnpickler) -> None:
    values = machine._marked()
    machine._push({})
    machine._fill(values)


def _duplicate(machine: RestrictedUnpickler) -> None:
    machine._push(machine._stack[-1])


M = RestrictedUnpickler
_OPCODES: dict[int, Callable[[RestrictedUnpickler], object]] = {
    ord("\x80"): M._protocol,
    ord("\x95"): lambda m: m._number("<Q"),
    ord("("): lambda m: m._push(MARK),
    ord("0"): lambda m: m._stack.pop(),
    ord("1"): lambda m: m._marked(),
    ord("2"): _duplicate,
    ord("N"): lambda m: m._push(None),
    ord("\x88"): lambda m: m._push(True),
    ord("\x89"): lambda m: m._push(False),
    ord("J"): lambda m: m._push(m._number("<i")),
    ord("K"): lambda m: m._push(m._number("<B")),
    ord("M"): lambda m: m._push(m._number("<H")),
    ord("\x8a"): lambda m: m._push(decode_long(m._take(m._number("<B")))),
    ord("\x8b"): lambda m: m._push(decode_long(m._take(m._number("<i")))),
    ord("I"): M._int_line,
    ord("L"): lambda m: m._push(int(m._text().rstrip(b"L"))),
    ord("F"): M._float_line,
    ord("G"): lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    ord("X"): lambda m: m._push(m._take(m._number("<I")).decode("utf-8", "surrogatepass")),
    ord("\x8c"): lambda m: m._push(m._take(m._number("<B")).decode("utf-8", "surrogatepass")),
    ord("\x8d"): lambda m: m._push(m._take(m._number("<Q")).decode("utf-8", "surrogatepass")),
    ord("V"): lambda m: m._push(m._text().decode("raw-unicode-escape")),
    ord("U"): lambda m: m._old_string(m._take(m._number("<B"))),
    ord("T"): lambda m: m._old_string(m._take(m._number("<i"))),
    ord("C"): lambda m: m._push(m._take(m._number("<B"))),
    ord("B"): lambda m: m._push(m._take(m._number("<I"))),
    ord("\x8e"): lambda m: m._push(m._take(m._number("<Q"))),
    ord("\x96"): lambda m: m._push(bytearray(m._take(m._number("<Q")))),
    ord("]"): lambda m: m._push([]),
    ord("}"): lambda m: m._push({}),
    ord(")"): lambda m: m._push(()),
    ord("\x8f"): lambda m: m._push(set()),
    ord("l"): lambda m: m._push(m._marked()),
    ord("t"): lambda m: m._push(tuple(m._marked())),
    ord("d"): _fill_dict,
    ord("\x91"): _make_frozenset,
    ord("\x85"): lambda m: m._tuple(1),
    ord("\x86"): lambda m: m._tuple(2),
    ord("\x87"): lambda m: m._tuple(3),
    ord("a"): M._append,
    ord("e"): lambda m: m._append_all(m._marked()),
    ord("\x90"): lambda m: m._append_all(m._marked()),
    ord("s"): M._set_item,
    ord("u"): lambda m: m._fill(m._marked()),
    ord("h"): lambda m: m._get(m._number("<B")),
    ord("j"): lambda m: m._get(m._number("<I")),
    ord("g"): lambda m: m._get(int(m._text())),
    ord("q"): lambda m: m._put(m._number("<B")),
    ord("r"): lambda m: m._put(m._number("<I")),
    ord("p"): lambda m: m._put(int(m._text())),
    ord("\x94"): _memoize,
    ord("c"): lambda m: m._global(m._text().decode(), m._text().decode()),
    ord("\x93"): M._stack_global,
    ord("R"): M._reduce,
    ord("\x81"): M._new,
    ord("\x92"): M._new_with_names,
    ord("b"): M._build,
    ord("Q"): M._persistent,
}
