"""The checking mode, FLAMBEAU_CHECK=1: kernels whose every load and store is checked.

`checked(text)` rewrites a kernel's LLVM text. Each access first asks whether all its bytes lie in
one of the ranges that the kernel was told of (bounds.py), or in the local
array or constant that the pointer was made from. An access that does not is noted, with its place
in the text, and goes to spare memory instead: the process stays whole and the run can be reported.

The rewriting is by lines, for the forms that the emitters of this package write; a form that it
does not know is an error, so that a new one cannot slip through unchecked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flambeau.execute.cpu.bounds import (
    ADDRESS,
    BYTES,
    COUNT,
    FIRST_RANGE,
    MOST_RANGES,
    NAME,
    SITE,
)
from flambeau.execute.cpu.emit import BITS

STACK_BYTES = 1 << 20
"""Local arrays of the functions around an inner one lie at most this far up."""

POINTER = r"ptr ([%@][\w.]+)"
HOW = "(?:atomic |volatile )?"
ORDERING = "(?: monotonic| acquire| release| seq_cst)?"
LOAD = re.compile(rf"(%\w+) = load {HOW}(.+?), {POINTER}{ORDERING}, align")
STORE = re.compile(rf"store {HOW}(.+), {POINTER}{ORDERING}, align \d+$")
ATOMIC = re.compile(rf"%\w+ = atomicrmw \w+ {POINTER}, (i\d+) ")
ALLOCA = re.compile(r"(%\w+) = alloca \[(\d+) x (.+?)\], align")
ELEMENT = re.compile(rf"(%\w+) = getelementptr (.+?), {POINTER}, i64 ")
ELEMENTS = re.compile(r"(%\w+) = getelementptr .+?, ptr [%@][\w.]+, <\d+ x i64> ")
CONSTANT = re.compile(r"@([\w.]+) = private (?:unnamed_addr )?constant \[(\d+) x (\w+)\]")
VECTOR = re.compile(r"<(\d+) x (\w+)>")
CALL = re.compile(r"call (?:.+? )?@([\w.]+)\((.*)\)$")
MASK = re.compile(r"<(\d+) x i1> (%\w+|splat \(i1 true\)|<[^>]*>)")
SAFE_CALLS = ("llvm.prefetch", "llvm.frameaddress", "llvm.lifetime")


def size_of(type_: str) -> int:
    """Bytes of an LLVM type in memory."""
    vector = VECTOR.fullmatch(type_.strip())
    lanes, element = (int(vector[1]), vector[2]) if vector else (1, type_.strip())
    return -(-lanes * BITS[element] // 8)


def first_type(text: str) -> str:
    """The type in front of a value: `<4 x float> %x` gives `<4 x float>`."""
    return text[: text.index(">") + 1] if text.startswith("<") else text.split()[0]


@dataclass
class _Function:
    """What is known of the pointers of the function that is being rewritten."""

    roots: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Register -> (the local array or constant it points into, its bytes)."""


class _Rewriter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.constants = {
            f"@{m[1]}": (f"@{m[1]}", int(m[2]) * size_of(m[3])) for m in CONSTANT.finditer(text)
        }
        self.function = _Function()
        self.lines: list[str] = []
        self.sites: list[str] = []
        self.helpers: set[str] = set()
        self.checks = 0

    def rewritten(self) -> str:
        for line in self.text.splitlines():
            self.line(line)
        parts = [*self.lines, *(HELPERS[name] for name in sorted(self.helpers)), *SHARED]
        return "\n".join(parts) + "\n"

    def line(self, line: str) -> None:
        body = line.strip()
        if line.startswith("define"):
            self.function = _Function(dict(self.constants))
        elif found := ALLOCA.match(body):
            self.function.roots[found[1]] = (found[1], int(found[2]) * size_of(found[3]))
        elif found := ELEMENT.match(body):
            root = self.function.roots.get(found[3])
            if root is not None:
                self.function.roots[found[1]] = root
        elif ELEMENTS.match(body):
            pass
        elif found := LOAD.match(body):
            line = self.plain(line, found[3], size_of(found[2]))
        elif found := STORE.match(body):
            line = self.plain(line, found[2], size_of(first_type(found[1])))
        elif found := ATOMIC.match(body):
            self.sites.append(body)
            safe = self.safe(found[1], size_of(found[2]))
            line = line.replace(f"ptr {found[1]},", f"ptr {safe},", 1)
        elif " call " in f" {body}" and not line.startswith("declare"):
            line = self.call(line, body)
        elif line.startswith("  ") and re.search(r"\b(cmpxchg|load|store|asm)\b", body):
            raise NotImplementedError(f"the checking mode does not know this access: {body}")
        self.lines.append(line)

    # ---- accesses --------------------------------------------------------------------------------

    def site(self) -> int:
        """The number of the access at hand, 1 for the first."""
        return len(self.sites)

    def plain(self, line: str, pointer: str, nbytes: int) -> str:
        self.sites.append(line.strip())
        before, _, after = line.rpartition(f"ptr {pointer}")
        return f"{before}ptr {self.safe(pointer, nbytes)}{after}"

    def safe(self, pointer: str, nbytes: int | str) -> str:
        """A register with the pointer, or with that of spare memory."""
        self.checks += 1
        name, root = f"%c{self.checks}", self.function.roots.get(pointer)
        if root is None:
            arguments = f"ptr {pointer}, i64 {nbytes}, i64 {self.site()}"
            self.lines.append(f"  {name} = call ptr @bounded({arguments})")
        else:
            arguments = f"ptr {pointer}, i64 {nbytes}, ptr {root[0]}, i64 {root[1]}"
            self.lines.append(f"  {name} = call ptr @within({arguments}, i64 {self.site()})")
        return name

    def call(self, line: str, body: str) -> str:
        found = CALL.search(body)
        if found is None:
            raise NotImplementedError(f"the checking mode does not know this call: {body}")
        name, arguments = found[1], found[2]
        if not name.startswith("llvm.") or name.startswith(SAFE_CALLS) or "ptr" not in arguments:
            return line
        self.sites.append(body)
        if name.startswith(("llvm.masked.load", "llvm.masked.store")):
            return self.masked(line, name, arguments)
        if name.startswith(("llvm.masked.gather", "llvm.masked.scatter")):
            return self.lanes(line, name, arguments)
        if name.startswith("llvm.memmove"):
            return self.move(line, arguments)
        if name in ("llvm.x86.tileloadd64", "llvm.x86.tilestored64"):
            return self.tile(line, arguments)
        if name == "llvm.x86.ldtilecfg":
            (pointer,) = re.findall(POINTER, arguments)
            return line.replace(f"ptr {pointer}", f"ptr {self.safe(pointer, 64)}")
        raise NotImplementedError(f"the checking mode does not know this access: {body}")

    def masked(self, line: str, name: str, arguments: str) -> str:
        """Checks from the first lane that is on to the last."""
        (pointer,), mask = re.findall(POINTER, arguments), MASK.search(arguments)
        assert mask is not None, line
        type_ = re.search(r"\.v(\d+)(\w+)\.p0", name)
        assert type_ is not None, line
        lanes = int(type_[1])
        nbytes = int(re.sub(r"\D", "", type_[2])) // 8
        self.checks += 1
        bits, safe = f"%c{self.checks}b", f"%c{self.checks}"
        self.lines.append(f"  {bits} = bitcast <{lanes} x i1> {mask[2]} to i{lanes}")
        wide = bits
        if lanes < 64:
            wide = f"%c{self.checks}w"
            self.lines.append(f"  {wide} = zext i{lanes} {bits} to i64")
        self.helpers.add("masked")
        given = f"ptr {pointer}, i64 {wide}, i64 {nbytes}, i64 {self.site()}"
        self.lines.append(f"  {safe} = call ptr @bounded_lanes({given})")
        return line.replace(f"ptr {pointer}", f"ptr {safe}", 1)

    def lanes(self, line: str, name: str, arguments: str) -> str:
        """A gather or a scatter: each lane has a pointer of its own."""
        found = re.search(r"<(\d+) x ptr> (%\w+), ", arguments)
        mask, type_ = MASK.search(arguments), re.search(r"(?:gather|scatter)\.v\d+(\w+)\.", name)
        assert found is not None and mask is not None and type_ is not None, line
        lanes, vector = int(found[1]), found[2]
        nbytes = int(re.sub(r"\D", "", type_[1])) // 8
        result = "poison"
        self.helpers.add("lane")
        for lane in range(lanes):
            self.checks += 1
            one, wanted, safe, after = (f"%c{self.checks}{x}" for x in "pmsv")
            self.lines.append(f"  {one} = extractelement <{lanes} x ptr> {vector}, i32 {lane}")
            self.lines.append(f"  {wanted} = extractelement <{lanes} x i1> {mask[2]}, i32 {lane}")
            given = f"i1 {wanted}, ptr {one}, i64 {nbytes}, i64 {self.site()}"
            self.lines.append(f"  {safe} = call ptr @bounded_lane({given})")
            head = f"  {after} = insertelement <{lanes} x ptr> {result}"
            self.lines.append(f"{head}, ptr {safe}, i32 {lane}")
            result = after
        return line.replace(f"<{lanes} x ptr> {vector}", f"<{lanes} x ptr> {result}", 1)

    def move(self, line: str, arguments: str) -> str:
        to, source = re.findall(POINTER, arguments)
        count = re.search(r"i64 ([%\w]+)", arguments)
        assert count is not None, line
        safe_to, safe_source = self.safe(to, count[1]), self.safe(source, count[1])
        self.checks += 1
        both, kept = f"%c{self.checks}e", f"%c{self.checks}"
        self.helpers.add("whole")
        given = f"ptr {to}, ptr {safe_to}, ptr {source}, ptr {safe_source}"
        self.lines.append(f"  {both} = call i1 @unmoved({given})")
        self.lines.append(f"  {kept} = select i1 {both}, i64 {count[1]}, i64 0")
        return line.replace(f"i64 {count[1]}", f"i64 {kept}", 1)

    def tile(self, line: str, arguments: str) -> str:
        """Sixteen rows of 64 bytes, a stride apart."""
        (pointer,), stride = re.findall(POINTER, arguments), re.search(r"i64 ([%\w]+)", arguments)
        assert stride is not None, line
        self.helpers.add("rows")
        self.checks += 1
        safe, fine, step = (f"%c{self.checks}{x}" for x in ("", "f", "s"))
        given = f"ptr {pointer}, i64 {stride[1]}, i64 {self.site()}"
        self.lines.append(f"  {safe} = call ptr @bounded_rows({given})")
        self.lines.append(f"  {fine} = icmp eq ptr {safe}, {pointer}")
        self.lines.append(f"  {step} = select i1 {fine}, i64 {stride[1]}, i64 64")
        line = line.replace(f"ptr {pointer}", f"ptr {safe}", 1)
        return line.replace(f"i64 {stride[1]}", f"i64 {step}", 1)


def checked(text: str) -> str:
    """The text of a kernel with all its accesses checked.

    Raises NotImplementedError for a form of access that is not known here.
    """
    return _Rewriter(text).rewritten()


def access(text: str, site: int) -> str:
    """The instruction of access number `site` of a kernel (1 is the first)."""
    rewriter = _Rewriter(text)
    rewriter.rewritten()
    return rewriter.sites[site - 1]


def _word(index: int) -> str:
    return f"getelementptr (i64, ptr @{NAME}, i64 {index})"


SPARE = f"getelementptr (i64, ptr @{NAME}, i64 {FIRST_RANGE + 2 * MOST_RANGES})"

SHARED = (
    f"declare void @{NAME}()",
    "declare ptr @llvm.frameaddress.p0(i32)",
    f"""
define internal void @note(ptr %p, i64 %n, i64 %site) noinline {{
  %pair = cmpxchg ptr {_word(SITE)}, i64 0, i64 %site monotonic monotonic, align 8
  %first = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %first, label %fill, label %done
fill:
  %a = ptrtoint ptr %p to i64
  store i64 %a, ptr {_word(ADDRESS)}, align 8
  store i64 %n, ptr {_word(BYTES)}, align 8
  br label %done
done:
  ret void
}}
""",
    f"""
define internal i1 @inside(ptr %p, i64 %n) noinline {{
entry:
  %start = ptrtoint ptr %p to i64
  %end = add i64 %start, %n
  %count = load i64, ptr {_word(COUNT)}, align 8
  %untold = icmp slt i64 %count, 0
  br i1 %untold, label %good, label %look
look:
  %i = phi i64 [ 0, %entry ], [ %next, %another ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %test, label %stack
test:
  %twice = shl i64 %i, 1
  %at = getelementptr i64, ptr {_word(FIRST_RANGE)}, i64 %twice
  %low = load i64, ptr %at, align 8
  %at1 = getelementptr i64, ptr %at, i64 1
  %high = load i64, ptr %at1, align 8
  %above = icmp uge i64 %start, %low
  %below = icmp ule i64 %end, %high
  %both = and i1 %above, %below
  br i1 %both, label %good, label %another
another:
  %next = add i64 %i, 1
  br label %look
stack:
  %frame = call ptr @llvm.frameaddress.p0(i32 0)
  %here = ptrtoint ptr %frame to i64
  %from = sub i64 %start, %here
  %near = icmp ult i64 %from, {STACK_BYTES}
  ret i1 %near
good:
  ret i1 true
}}
""",
    f"""
define internal ptr @bounded(ptr %p, i64 %n, i64 %site) noinline {{
  %fine = call i1 @inside(ptr %p, i64 %n)
  br i1 %fine, label %good, label %bad
good:
  ret ptr %p
bad:
  call void @note(ptr %p, i64 %n, i64 %site)
  ret ptr {SPARE}
}}
""",
    f"""
define internal ptr @within(ptr %p, i64 %n, ptr %root, i64 %size, i64 %site) noinline {{
  %a = ptrtoint ptr %p to i64
  %r = ptrtoint ptr %root to i64
  %from = sub i64 %a, %r
  %to = add i64 %from, %n
  %above = icmp sge i64 %from, 0
  %below = icmp sle i64 %to, %size
  %fine = and i1 %above, %below
  br i1 %fine, label %good, label %bad
good:
  ret ptr %p
bad:
  call void @note(ptr %p, i64 %n, i64 %site)
  ret ptr {SPARE}
}}
""",
)

HELPERS = {
    "masked": f"""
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.ctlz.i64(i64, i1)
define internal ptr @bounded_lanes(ptr %p, i64 %mask, i64 %size, i64 %site) noinline {{
  %none = icmp eq i64 %mask, 0
  br i1 %none, label %spare, label %some
some:
  %first = call i64 @llvm.cttz.i64(i64 %mask, i1 false)
  %behind = call i64 @llvm.ctlz.i64(i64 %mask, i1 false)
  %end = sub i64 64, %behind
  %lanes = sub i64 %end, %first
  %skip = mul i64 %first, %size
  %n = mul i64 %lanes, %size
  %from = getelementptr i8, ptr %p, i64 %skip
  %safe = call ptr @bounded(ptr %from, i64 %n, i64 %site)
  %fine = icmp eq ptr %safe, %from
  %result = select i1 %fine, ptr %p, ptr {SPARE}
  ret ptr %result
spare:
  ret ptr {SPARE}
}}
""",
    "lane": f"""
define internal ptr @bounded_lane(i1 %wanted, ptr %p, i64 %n, i64 %site) noinline {{
  br i1 %wanted, label %check, label %spare
check:
  %safe = call ptr @bounded(ptr %p, i64 %n, i64 %site)
  ret ptr %safe
spare:
  ret ptr {SPARE}
}}
""",
    "rows": f"""
define internal ptr @bounded_rows(ptr %p, i64 %stride, i64 %site) noinline {{
entry:
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %next, %good ]
  %over = icmp eq i64 %i, 16
  br i1 %over, label %fine, label %row
row:
  %skip = mul i64 %i, %stride
  %from = getelementptr i8, ptr %p, i64 %skip
  %safe = call ptr @bounded(ptr %from, i64 64, i64 %site)
  %same = icmp eq ptr %safe, %from
  br i1 %same, label %good, label %bad
good:
  %next = add i64 %i, 1
  br label %look
fine:
  ret ptr %p
bad:
  ret ptr {SPARE}
}}
""",
    "whole": """
define internal i1 @unmoved(ptr %a, ptr %a1, ptr %b, ptr %b1) noinline {
  %x = icmp eq ptr %a, %a1
  %y = icmp eq ptr %b, %b1
  %both = and i1 %x, %y
  ret i1 %both
}
""",
}
