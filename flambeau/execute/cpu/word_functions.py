"""Functions on words of memory: a small part of Python as LLVM text.

What runs many times between two lines of a user's program is too slow in Python and would be hard
to read as LLVM text. So it is written in Python and translated. Every value is a word of 64 bits:

    word[a], word[a] = b        the word at address a
    single[a]                   the float32 at address a, as the bits of a float64
    int32[a], byte[a]           the number of 32 bits there, with its sign; of 8 bits, without one
    + - * & | << and their =    arithmetic without overflow; comparisons are signed
    if, while, break, continue, return, and, or, not
    api.PyList_New(n)           a function of the interpreter's C interface
    given.NAME                  a number that is only known when the module is loaded
    call(a, b, c)               the function at address a, of words, which gives a word
    other(a, b)                 another function of the same module, which is inlined
    NAME, at.NAME               a number of those that the module is translated with; `if at.NAME:`
                                is decided then, and what is not taken is left out

A variable is one for the whole function, and must be set before it is read. Anything else is
refused with SyntaxError.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

# Names in functions that are translated; in Python they mean nothing.
word: Any = None
single: Any = None
int32: Any = None
byte: Any = None
api: Any = None
given: Any = None
at: Any = None
call: Any = None

# Functions of the C interface that give an int and not a word.
GIVE_INT = frozenset(
    "PyDict_SetItem PyErr_BadArgument PyGC_Disable PyGC_Enable PyList_Append "
    "PyObject_GenericSetAttr PyTime_PerfCounterRaw".split()
)
# Those that take a float64, whose bits the word is.
TAKE_DOUBLE = frozenset(["PyFloat_FromDouble"])
# What is loaded of words that are not 64 bits, and how it becomes one.
_LOADED = {"single": ("float", "fpext float {} to double"), "int32": ("i32", "sext i32 {} to i64")}
_LOADED["byte"] = "i8", "zext i8 {} to i64"
_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or"}
_BINARY |= {ast.LShift: "shl"}
_COMPARED = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "slt",
    ast.LtE: "sle",
    ast.Gt: "sgt",
    ast.GtE: "sge",
    ast.Is: "eq",
    ast.IsNot: "ne",
}


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    code = function.__code__
    found = _definitions(code.co_filename).get((code.co_name, code.co_firstlineno))
    if found is None:
        raise OSError(f"no source of {function.__qualname__}")
    return found


@cache
def _definitions(file: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions of a file (none that is part of another thing) by their names and lines."""
    tree = ast.parse("".join(linecache.getlines(file)))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {(function.name, function.lineno): function for function in functions}


class Module(NamedTuple):
    """LLVM text, and the names of what the words of `@given` there must be: functions of the C
    interface, and numbers.
    """

    text: str
    given: tuple[str, ...]


def translated(
    entries: Sequence[Callable[..., Any]],
    inlined: Sequence[Callable[..., Any]] = (),
    numbers: Mapping[str, int] | None = None,
) -> Module:
    """The module of `entries`, which go by their names, and of what they call.

    OSError where there is no source to translate; SyntaxError for what is not understood.
    """
    names = [function.__name__ for function in [*entries, *inlined]]
    found: list[str] = []
    texts = [
        _Function(function, names, numbers or {}, found).text(function in entries)
        for function in [*inlined, *entries]
    ]
    size = max(len(found), 1)
    texts.append(f"@given = global [{size} x i64] zeroinitializer, align 64\n")
    return Module("\n".join(texts), tuple(found))


class _Function:
    """One function on its way to LLVM text."""

    def __init__(
        self,
        function: Callable[..., Any],
        functions: list[str],
        numbers: Mapping[str, int],
        found: list[str],
    ) -> None:
        self.tree = _definition(function)
        self.functions = functions
        self.numbers = numbers
        self.given = found
        self.lines: list[str] = []
        self.count = 0
        self.open = True  # whether the block under way has no end yet
        self.loops: list[tuple[str, str]] = []
        code = function.__code__
        self.variables = code.co_varnames
        self.arguments = code.co_varnames[: code.co_argcount]

    def text(self, entry: bool) -> str:
        for name in self.variables:
            self.lines.append(f"  %v.{name} = alloca i64, align 8")
        for name in self.arguments:
            self.lines.append(f"  store i64 %a.{name}, ptr %v.{name}, align 8")
        self.block(self.tree.body)
        if self.open:
            self.end("ret i64 0")
        head = ", ".join(f"i64 %a.{name}" for name in self.arguments)
        kind, end = ("", "") if entry else ("internal ", " alwaysinline")
        body = "\n".join(self.lines)
        return f"define {kind}i64 @{self.tree.name}({head}){end} {{\nentry:\n{body}\n}}\n"

    # ---- lines -----------------------------------------------------------------------------------

    def fresh(self, what: str = "t") -> str:
        self.count += 1
        return f"{what}{self.count}"

    def put(self, line: str) -> str:
        """A line that gives a value; the value's name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {line}")
        return name

    def end(self, line: str) -> None:
        if self.open:
            self.lines.append("  " + line)
        self.open = False

    def begin(self, label: str) -> None:
        self.end(f"br label %{label}")
        self.lines.append(f"{label}:")
        self.open = True

    # ---- statements ------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            if not self.open:
                raise self.refused(node, "is never reached")
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self.store(node.targets[0], self.value(node.value))
        elif isinstance(node, ast.AugAssign):
            self.augment(node)
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):
                self.value(node.value)
        elif isinstance(node, ast.If):
            self.branch(node)
        elif isinstance(node, ast.While) and not node.orelse:
            self.loop(node)
        elif isinstance(node, ast.Return):
            self.end(f"ret i64 {self.value(node.value) if node.value else 0}")
        elif isinstance(node, (ast.Break, ast.Continue)) and self.loops:
            self.end(f"br label %{self.loops[-1][isinstance(node, ast.Break)]}")
        else:
            raise self.refused(node)

    def store(self, target: ast.expr, value: str) -> None:
        self.lines.append(f"  store i64 {value}, ptr {self.place(target)}, align 8")

    def place(self, target: ast.expr) -> str:
        if isinstance(target, ast.Name):
            return f"%v.{target.id}"
        if isinstance(target, ast.Subscript) and _is(target.value, "word"):
            return self.put(f"inttoptr i64 {self.value(target.slice)} to ptr")
        raise self.refused(target)

    def augment(self, node: ast.AugAssign) -> None:
        place = self.place(node.target)
        before = self.put(f"load i64, ptr {place}, align 8")
        after = self.put(f"{self.operator(node)} i64 {before}, {self.value(node.value)}")
        self.lines.append(f"  store i64 {after}, ptr {place}, align 8")

    def branch(self, node: ast.If) -> None:
        number = self.number(node.test)
        if number is not None:
            self.block(node.body if number else node.orelse)
            return
        then, other, after = self.fresh("then"), self.fresh("else"), self.fresh("after")
        self.condition(node.test, then, other)
        self.begin(then)
        self.block(node.body)
        reached = self.open
        self.end(f"br label %{after}")
        self.begin(other)
        self.block(node.orelse)
        reached = reached or self.open
        self.end(f"br label %{after}")
        if reached:
            self.begin(after)

    def loop(self, node: ast.While) -> None:
        again, body, after = self.fresh("again"), self.fresh("body"), self.fresh("after")
        self.begin(again)
        self.condition(node.test, body, after)
        self.begin(body)
        self.loops.append((again, after))
        self.block(node.body)
        self.loops.pop()
        self.end(f"br label %{again}")
        self.begin(after)

    # ---- expressions -----------------------------------------------------------------------------

    def condition(self, node: ast.expr, true: str, false: str) -> None:
        """Goes on at one of two labels."""
        if isinstance(node, ast.UnaryOp) and _is_not(node):
            self.condition(node.operand, false, true)
        elif isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And)
            for part in node.values[:-1]:
                following = self.fresh("part")
                self.condition(part, *((following, false) if every else (true, following)))
                self.begin(following)
            self.condition(node.values[-1], true, false)
        else:
            if isinstance(node, ast.Compare):
                found = self.compared(node)
            else:
                found = self.put(f"icmp ne i64 {self.value(node)}, 0")
            self.end(f"br i1 {found}, label %{true}, label %{false}")

    def compared(self, node: ast.Compare) -> str:
        kind = _COMPARED.get(type(node.ops[0])) if len(node.ops) == 1 else None
        if kind is None:
            raise self.refused(node)
        left, right = self.value(node.left), self.value(node.comparators[0])
        return self.put(f"icmp {kind} i64 {left}, {right}")

    def value(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return str(node.value)
        if isinstance(node, ast.Name) and node.id in self.variables:
            return self.put(f"load i64, ptr %v.{node.id}, align 8")
        if isinstance(node, ast.Name) and node.id in self.numbers:
            return str(self.numbers[node.id])
        number = self.number(node)
        if number is not None:
            return str(number)
        if isinstance(node, ast.Attribute) and _is(node.value, "given"):
            return self.word_given(node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id in _LOADED:
                return self.loaded(node.value.id, self.value(node.slice))
            return self.put(f"load i64, ptr {self.place(node)}, align 8")
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left), self.value(node.right)
            return self.put(f"{self.operator(node)} i64 {left}, {right}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self.put(f"sub i64 0, {self.value(node.operand)}")
        if isinstance(node, ast.Compare):
            return self.put(f"zext i1 {self.compared(node)} to i64")
        if isinstance(node, ast.BoolOp) or _is_not(node):
            return self.truth(node)
        if isinstance(node, ast.Call) and not node.keywords:
            return self.called(node)
        raise self.refused(node)

    def loaded(self, name: str, address: str) -> str:
        kind, widened = _LOADED[name]
        place = self.put(f"inttoptr i64 {address} to ptr")
        found = self.put(f"load {kind}, ptr {place}, align 1")
        made = self.put(widened.format(found))
        return self.put(f"bitcast double {made} to i64") if name == "single" else made

    def number(self, node: ast.expr) -> int | None:
        """What `at.NAME` is; None for anything else."""
        if isinstance(node, ast.Attribute) and _is(node.value, "at"):
            return self.numbers.get(node.attr)
        return None

    def truth(self, node: ast.expr) -> str:
        yes, no, after = self.fresh("yes"), self.fresh("no"), self.fresh("after")
        self.condition(node, yes, no)
        self.begin(yes)
        self.end(f"br label %{after}")
        self.begin(no)
        self.begin(after)
        return self.put(f"phi i64 [ 1, %{yes} ], [ 0, %{no} ]")

    def operator(self, node: ast.BinOp | ast.AugAssign) -> str:
        kind = _BINARY.get(type(node.op))
        if kind is None:
            raise self.refused(node)
        return str(kind)

    def called(self, node: ast.Call) -> str:
        target = node.func
        arguments = [f"i64 {self.value(argument)}" for argument in node.args]
        if isinstance(target, ast.Name) and target.id in self.functions:
            return self.put(f"call i64 @{target.id}({', '.join(arguments)})")
        if _is(target, "call") and arguments:
            address = self.put(f"inttoptr {arguments[0]} to ptr")
            return self.put(f"call i64 {address}({', '.join(arguments[1:])})")
        if isinstance(target, ast.Attribute) and _is(target.value, "api"):
            function = self.put(f"inttoptr i64 {self.word_given(target.attr)} to ptr")
            if target.attr in TAKE_DOUBLE:
                bits = self.put(f"bitcast {arguments[0]} to double")
                return self.put(f"call i64 {function}(double {bits})")
            if target.attr not in GIVE_INT:
                return self.put(f"call i64 {function}({', '.join(arguments)})")
            number = self.put(f"call i32 {function}({', '.join(arguments)})")
            return self.put(f"sext i32 {number} to i64")
        raise self.refused(node)

    def word_given(self, name: str) -> str:
        if name not in self.given:
            self.given.append(name)
        at = f"getelementptr (i64, ptr @given, i64 {self.given.index(name)})"
        return self.put(f"load i64, ptr {at}, align 8")

    def refused(self, node: ast.stmt | ast.expr, why: str = "is not understood") -> SyntaxError:
        return SyntaxError(f"{self.tree.name}: {ast.unparse(node)!r} {why}")


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
