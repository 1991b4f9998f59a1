"""Programs as data: lines of Python over named variables, for any module with torch's API."""

from __future__ import annotations

import ast
import math
import random
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import itemgetter
from types import CodeType
from typing import Any
from zlib import crc32

import numpy as np

PLAIN = (bool, int, float, str, type(None))
MISSING = "(a name it uses does not exist)"
LARGEST = 1 << 20  # elements
DERIVATIVES = 10  # of derivatives: each may multiply the size of a graph
UNDEFINED = "(PyTorch refuses what it calls ambiguous)"
SAVED = "RuntimeError (a saved value was overwritten or freed)"
SAVED_WORDS = ("modified by an inplace operation", "backward through the graph a second time")
IN_PLACE = re.compile(r"_\(|[-+*]= ")
NAMES = re.compile(r"[xnghfmos]\d+")
LEAF = "a leaf Variable that requires grad"
AMBIGUOUS = (
    "view was created in",
    "view which was created in",
    "is a view and its base or another view",
    "is a view and is being modified",
    "on expanded tensors is deprecated",  # (a warning; Flambeau refuses to write)
    "derivative for aten::",  # is not implemented there
    "would mutate a captured Tensor",  # in what is differentiated by `func.grad`
    "must override the setup_context staticmethod",  # so are hooks of modules there
)


NAME = itemgetter(0)
THREAD, TOGETHER = "thread", "threads together"


class Ambiguous(Exception):
    """Views and in-place writes mixed across grad modes: PyTorch gives this no meaning, so nothing
    is compared.
    """


@dataclass(frozen=True)
class Line:
    """One statement. `{data}` in the text stands for the numbers of a new tensor.

    `observed`: the text is an expression whose value is compared.
    """

    text: str
    data: Any = None
    observed: bool = False


@dataclass(frozen=True)
class Block:
    """A compound statement; `header` is a `for`, `if` or `with` line without the colon, THREAD or
    TOGETHER.

    A `for` line is `for NAME in range(N)`: the body runs N times whatever fails in it. The body of
    THREAD runs in another thread while this one waits; TOGETHER runs each statement of its body in
    a thread of its own, all at once: none may read what another one sets.
    """

    header: str
    body: tuple[Statement, ...]


Statement = Line | Block


@dataclass(frozen=True)
class Program:
    """Statements, and the seed that they came from."""

    statements: tuple[Statement, ...]
    seed: int = 0


@dataclass
class Trial:
    """One run of a program: where it stands, what it has seen."""

    module: Any
    run: int = 0
    jitter: random.Random | None = None
    until: float = math.inf  # observations
    env: dict[str, Any] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    alone: bool = True  # no other thread changes `env` now
    spread: bool = False  # each statement stands at a line of its own
    differentiated: int = 0  # how often with create_graph
    kept: list[Any] = field(default_factory=list)  # (tensor that keeps its gradient, its version)
    gradients: list[Any] = field(default_factory=list)  # that variables have shown
    hooked: list[Any] = field(
        default_factory=list
    )  # [view with a hook, its version, its base's node]

    @property
    def judges(self) -> bool:
        """Whether this run says what has a meaning: PyTorch's alone does."""
        return bool(self.module.__name__ == "torch")

    def tensors(self) -> list[tuple[str, Any]]:
        """The variables that are tensors, by name."""
        tensor = self.module.Tensor
        names = self.env.copy()  # at once: other threads set variables
        return [pair for pair in names.items() if isinstance(pair[1], tensor)]


def run(
    program: Program,
    module: Any,
    number: int = 0,
    jitter: int | None = None,
    until: float = math.inf,
) -> list[Any]:
    """Everything observable about one run: [(where, what), ..].

    `number` is the program's variable `run`, which also moves the numbers of new tensors: what one
    run does differs a little from what the next one does. `jitter` seeds relative errors of 1e-6 in
    those numbers, to learn how much of a difference rounding can make. No line runs after `until`
    observations.
    """
    trial = Trial(module, number, None if jitter is None else random.Random(jitter), until)
    trial.spread = bool(program.seed % 3)
    trial.env = {"torch": module, "np": np, "run": number, "math": math}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", ".*on expanded tensors is deprecated")
        try:
            _run_body(trial, program.statements)
            trial.seen.append(("grad mode", module.is_grad_enabled()))
            _see_variables(trial)
        except Ambiguous:
            trial.seen.append(("the end", UNDEFINED))
    module.set_grad_enabled(True)
    return trial.seen


def _run_body(trial: Trial, statements: Iterable[Statement]) -> None:
    for statement in statements:
        if isinstance(statement, Line):
            _run_line(trial, statement)
        else:
            _run_block(trial, statement)


def _run_line(trial: Trial, line: Line) -> None:
    mode = "eval" if line.observed else "exec"
    if len(trial.seen) >= trial.until:
        raise Ambiguous
    if any(value.numel() > LARGEST for _, value in trial.tensors()):
        raise Ambiguous  # a tensor doubled over and over: before the machine's memory ends
    trial.differentiated += "create_graph=True" in line.text
    if trial.differentiated > DERIVATIVES:
        raise Ambiguous
    if line.data is not None:
        trial.env["_data"] = _moved(line.data, trial.run, trial.jitter)
    try:
        text = line.text.replace("{data}", "_data")
        value = eval(_compiled(text, mode, trial.spread), trial.env)
        what = plain(value) if line.observed else None
        if shown := SHOWN.match(line.text):
            trial.gradients.append(trial.env[shown[1]])
        if trial.alone and trial.judges and _reads_what_it_writes(trial.env, line.text):
            raise Ambiguous
    except Ambiguous:
        raise
    except Exception as error:
        what = _name_of(error)
        if LEAF in str(error) and not _names_a_leaf(trial.env, line.text):
            raise Ambiguous from error
        if "backward(" in line.text or "autograd.grad(" in line.text:
            what = _drop_gradients(trial) or what
    trial.seen.append((line.text, what))
    if not trial.alone:
        return
    try:
        if trial.judges:
            _refuse_quirks(trial, line.text)
        trial.seen.append(("flags", _flags(trial)))
    except RuntimeError as error:
        trial.seen.append(("flags", _name_of(error)))


def _reads_what_it_writes(env: dict[str, Any], text: str) -> bool:
    """Whether a write in place that PyTorch has let pass read other elements of the memory that it
    wrote: in which order it does that is not said.
    """
    parts = _written_and_read(text)
    if not parts:
        return False
    written, *read = (eval(part, env) for part in parts)
    return any(_meets(written, other) for other in read)


@lru_cache(maxsize=20_000)
def _written_and_read(text: str) -> tuple[CodeType, ...]:
    """Expressions for what a write in place writes, and for its operands; () of other lines."""
    if not IN_PLACE.search(text) or "\n" in text:
        return ()
    statement = ast.parse(text).body[0]
    parts: list[ast.expr] = []
    if isinstance(statement, ast.AugAssign):
        parts = [statement.target, statement.value]
    elif (
        isinstance(statement, ast.Expr)
        and isinstance(call := statement.value, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.endswith("_")
    ):
        parts = [call.func.value, *call.args]
    return tuple(_compiled(ast.unparse(part), "eval") for part in parts)


def _meets(a: Any, b: Any) -> bool:
    """Whether two tensors have elements in common, and are not the same ones in the same order."""
    if not (hasattr(a, "untyped_storage") and hasattr(b, "untyped_storage")):
        return False
    storage = a.untyped_storage()
    if storage.data_ptr() != b.untyped_storage().data_ptr() or not storage.nbytes():
        return False
    places = [
        np.lib.stride_tricks.as_strided(
            np.arange(storage.nbytes())[t.storage_offset() * t.itemsize :],
            tuple(t.shape),
            tuple(step * t.itemsize * 8 for step in t.stride()),
        )
        for t in (a, b)
    ]
    one, other = places
    return not np.array_equal(one, other) and bool(np.isin(one, other).any())


def _names_a_leaf(env: dict[str, Any], text: str) -> bool:
    """Whether a statement that writes to a variable names one that has no history.

    PyTorch says of a view whose base got history through another view, and that it has not looked
    at since, that it is a leaf.
    """
    written = env.get(re.split(r"[^a-z0-9]", text, maxsplit=1)[0])
    return getattr(written, "grad_fn", None) is None


def _name_of(error: Exception) -> str:
    if isinstance(error, NameError) and NAMES.fullmatch(error.name or ""):
        return MISSING
    if any(words in str(error) for words in AMBIGUOUS):
        raise Ambiguous
    if any(words in str(error) for words in SAVED_WORDS):
        return SAVED
    return type(error).__name__


def _drop_gradients(trial: Trial) -> str | None:
    """A pass that fails may have reached some leaves already: which, nobody promises. (Flambeau
    changes nothing.) The name of the error where a view's flags mean nothing any more.

    Ambiguous where a variable shows a gradient, which PyTorch may have added to in place (perhaps
    of a leaf that no variable is any more).
    """
    try:
        tensors = {n: v for n, v in trial.env.items() if _is_variable(n) and hasattr(v, "is_leaf")}
    except RuntimeError as error:
        return _name_of(error)
    memories = [
        v if (base := getattr(v, "_base", None)) is None else base for v in tensors.values()
    ]
    gradients = list(trial.gradients)
    for value in tensors.values():
        if value.is_leaf or value.retains_grad:
            gradients.append(value.grad)
            value.grad = None
    if any(v is g for v in memories for g in gradients):
        raise Ambiguous
    for name, value in trial.env.items():
        if name[0] in "mo" and hasattr(value, "zero_grad"):
            value.zero_grad()
    return None


REQUIRED = re.compile(r"(x\d+)\.requires_grad_\(")
HOOKED = re.compile(r"h\d+ = (x\d+)\.register_hook\(")
SHOWN = re.compile(r"(x\d+) = x\d+\.grad$")
RETAINED = re.compile(r"(x\d+)\.retain_grad\(")


def _refuse_quirks(trial: Trial, text: str) -> None:
    """Ambiguous where PyTorch's flags mean nothing: integers that require gradients, since one was
    written to a part of them, and older views of a tensor that has become a leaf just now. And
    where a view that keeps its gradient was written: what PyTorch keeps then hangs on whether
    somebody has looked at the view's flags in between. And where elements that share their memory
    become a leaf, which gets memory of its own in Flambeau, and where what a view with a hook shows
    was written unseen by autograd: the hook stays with the view there (docs/trust.md).
    """
    env = trial.env
    if _hooked_view_is_written(trial, text):
        raise Ambiguous
    whole = [v for n, v in env.items() if n[0] == "x" and hasattr(v, "is_leaf")]
    if any(v.requires_grad for v in whole if not v.dtype.is_floating_point):
        raise Ambiguous
    kept = RETAINED.match(text)
    keeper = env.get(kept[1]) if kept else None
    if getattr(keeper, "retains_grad", False):  # (a name may stand for a `.grad` that is None)
        trial.kept.append((keeper, keeper._version))
    if any(
        getattr(view, "_base", None) is not None and view._version != then
        for view, then in trial.kept
    ):
        raise Ambiguous
    found = REQUIRED.match(text)
    if found and found[1] in env:
        new = env[found[1]]
        if any(getattr(value, "_base", None) is new for value in env.values()):
            raise Ambiguous
        if any(n > 1 and step == 0 for n, step in zip(new.shape, new.stride())):
            raise Ambiguous


def _hooked_view_is_written(trial: Trial, text: str) -> bool:
    """Whether memory that a view with a hook shows was written, and its base's history does not
    tell: with gradients switched off, through a detached tensor, or where the base has no history
    but by its views.
    """
    for seen in trial.hooked:
        view, version, node = seen
        if view._version != version:
            seen[1:] = view._version, view._base.grad_fn
            while getattr(node, "name", str)().endswith("CopySlices"):
                node = node.next_functions[0][0]
            if seen[2] is node or node is None:
                return True
    found = HOOKED.match(text)
    view = trial.env.get(found[1]) if found else None
    if getattr(view, "_base", None) is not None:
        trial.hooked.append([view, view._version, view._base.grad_fn])
    return False


def _run_block(trial: Trial, block: Block) -> None:
    words = block.header.split()
    env = trial.env
    if words[0] == "for":
        for i in range(int(words[3].removeprefix("range(").removesuffix(")"))):
            env[words[1]] = i
            _run_body(trial, block.body)
        return
    if block.header in (THREAD, TOGETHER):
        _run_threads(trial, block)
        return
    try:
        value = eval(_compiled(block.header.split(" ", 1)[1], "eval"), env)
        if words[0] == "if":
            value = bool(value)
    except Exception as error:
        trial.seen.append((block.header, _name_of(error)))
        return
    trial.seen.append((block.header, value if words[0] == "if" else None))
    if words[0] == "if":
        if value:
            _run_body(trial, block.body)
        return
    with value:
        _run_body(trial, block.body)


def _run_threads(trial: Trial, block: Block) -> None:
    """What the threads have seen comes in the order of their bodies. In PyTorch they run one after
    another: two that use one leaf for the first time stop each other there, one with the leaf's
    lock, waiting for the interpreter (`grad_accumulator`), the other the other way round. What they
    see hangs on no order.
    """
    bodies = [block.body] if block.header == THREAD else [(part,) for part in block.body]
    alone = trial.alone and len(bodies) == 1
    until = trial.until - len(trial.seen) if alone else math.inf
    parts = [replace(trial, seen=[], alone=alone, until=until) for _ in bodies]
    failures: list[BaseException] = []

    def work(part: Trial, body: tuple[Statement, ...]) -> None:
        try:
            _run_body(part, body)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(parts, bodies)]
    for thread in threads:
        thread.start()
        if trial.judges:
            thread.join()
    for thread in threads:
        thread.join()
    for part in parts:
        trial.seen += part.seen
    for failure in failures:
        raise failure


SINGLE = re.compile(r"torch\.tensor\({data}, dtype=torch\.float32(, requires_grad=True)?\)")
DRAWN = re.compile(r"torch\.(randn?)\((\(.*?\))\)")


def in_double(program: Program) -> Program:
    """The program in double precision, on the same single-precision numbers."""
    return replace(program, statements=tuple(_in_double(one) for one in program.statements))


def _in_double(statement: Statement) -> Statement:
    if isinstance(statement, Block):
        return replace(statement, body=tuple(_in_double(one) for one in statement.body))
    if found := SINGLE.search(statement.text):
        same = "torch.tensor({data}, dtype=torch.float32).double()"
        made = same + (".requires_grad_()" if found[1] else "")
        return replace(statement, text=statement.text.replace(found[0], made))
    text = statement.text.replace("torch.float32", "torch.float64")
    return replace(statement, text=DRAWN.sub(r"torch.\1(\2, dtype=torch.float32).double()", text))


@lru_cache(maxsize=20_000)
def _compiled(text: str, mode: str, spread: bool = False) -> CodeType:
    """The statement's code; `spread`: it stands at a line of its own (else all at the first)."""
    code = compile(text, "<program>", mode)
    return code.replace(co_firstlineno=1 + crc32(text.encode()) % 10_000) if spread else code


def _moved(data: Any, number: int, jitter: random.Random | None) -> Any:
    if isinstance(data, list):
        return [_moved(part, number, jitter) for part in data]
    if not isinstance(data, float):
        return data
    data = data + 0.25 * number
    return data if jitter is None else data * (1 + 1e-6 * jitter.uniform(-1, 1))


# ---- what is seen
# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A tensor or array as it was seen; `values` is a NumPy array."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    is_leaf: bool
    values: Any
    grad: Any = None


def plain(value: Any) -> Any:
    """A value that outlives its module: numbers, arrays, Seen, lists of these."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return Seen(str(value.dtype), value.shape, value.strides, False, True, value.copy())
    if hasattr(value, "requires_grad"):
        return _seen_tensor(value)
    return str(value)


def _seen_tensor(tensor: Any) -> Seen:
    grad = tensor.grad if tensor.is_leaf or tensor.retains_grad else None
    return Seen(
        str(tensor.dtype),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.requires_grad,
        tensor.is_leaf,
        tensor.detach().numpy().copy(),
        None if grad is None else _seen_tensor(grad),
    )


def _is_variable(name: str) -> bool:
    return name[0] in "xng" and name[1:].isdigit()


def _flags(trial: Trial) -> Any:
    """What is known of all tensors without looking at data: it must not end a recording."""
    return tuple(
        (name, value.requires_grad, value.is_leaf, tuple(value.shape))
        for name, value in sorted(trial.tensors(), key=NAME)  # threads set theirs in any order
        if name[0] in "xg"
    )


def _see_variables(trial: Trial) -> None:
    for name in sorted(trial.env):
        if not _is_variable(name):
            continue
        try:
            what = plain(trial.env[name])
        except Exception as error:
            what = _name_of(error)
        trial.seen.append((name, what))


# ---- printing
# ----------------------------------------------------------------------------------------


def script(
    program: Program, module: str = "flambeau", number: int = 0, failing: Iterable[str] = ()
) -> str:
    """The program as a Python script; statements in `failing` are in try blocks."""
    lines = ["import numpy as np", f"import {module} as torch", "", f"run = {number}"]
    failed = set(failing)
    if "thread" in str(program.statements):
        lines += START.split("\n")
    for depth, text, wrapped in _script_lines(program.statements, 0, number, failed):
        pad = "    " * depth
        if wrapped:
            lines += [
                f"{pad}try:",
                *(f"{pad}    {part}" for part in text.split("\n")),
                f"{pad}except Exception as error:",
                f"{pad}    print(type(error).__name__, error)",
            ]
        else:
            lines += [pad + part for part in text.split("\n")]
    names = sorted(
        {
            w.split(" = ")[0]
            for w in texts(program.statements)
            if " = " in w and _is_variable(w.split(" = ")[0])
        }
    )
    lines += [f"print({name!r}, {name})" for name in names]
    return "\n".join(lines) + "\n"


def _script_lines(
    statements: Iterable[Statement], depth: int, number: int, failed: set[str]
) -> Iterator[tuple[int, str, bool]]:
    for statement in statements:
        if isinstance(statement, Line):
            text = statement.text.replace("{data}", repr(_moved(statement.data, number, None)))
            yield depth, f"print({text})" if statement.observed else text, statement.text in failed
        elif statement.header == TOGETHER:
            yield depth, "THREADS = []", False
            for part in statement.body:
                yield from _thread_lines((part,), depth, number, failed)
            yield depth, "join(THREADS)", False
        elif statement.header == THREAD:
            yield depth, "THREADS = []", False
            yield from _thread_lines(statement.body, depth, number, failed)
            yield depth, "join(THREADS)", False
        else:
            yield depth, statement.header + ":", False
            yield from _script_lines(statement.body, depth + 1, number, failed)
            if not statement.body:
                yield depth + 1, "pass", False


def _thread_lines(
    body: tuple[Statement, ...], depth: int, number: int, failed: set[str]
) -> Iterator[tuple[int, str, bool]]:
    """A thread that begins, as a function that is decorated with `start`."""
    yield depth, "@start\ndef work():", False
    names = sorted(_assigned(body))
    yield depth + 1, f"global {', '.join(names)}" if names else "pass", False
    yield from _script_lines(body, depth + 1, number, failed)


def _assigned(statements: Iterable[Statement]) -> set[str]:
    """The variables that statements set, in place or not, or delete."""
    found = {m[0] for text in texts(statements) for m in [NAMES.match(text)] if m}
    return found | {text[4:] for text in texts(statements) if text.startswith("del ")}


START = """import threading

THREADS = []
def start(work):
    THREADS.append(threading.Thread(target=work))
    THREADS[-1].start()
def join(threads):
    for thread in threads:
        thread.join()
"""


def texts(statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, Line):
            yield statement.text
        else:
            yield from texts(statement.body)
