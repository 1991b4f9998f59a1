"""Object code in memory without LLVM: what is linked here does what LLVM's linker makes of it."""

from __future__ import annotations

import ctypes
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flambeau.execute.cpu import code_memory, engine, host, linking, objects, target
from flambeau.execute.cpu.binaries import MAGIC, Binaries, Binary, is_binary, unpacked
from flambeau.execute.cpu.engine import Engine
from flambeau.execute.cpu.objects import ObjectCache

pytestmark = pytest.mark.skipif(not code_memory.available(), reason="for Linux on x86-64")

# Constants, data with and without contents, addresses in data and in code, calls within the module
# and to the system, a table of jumps.
MODULE = """
@weights = private constant [4 x double] [double 0.5, double 2.0, double -3.0, double 8.0], align 32
@count = global i64 40, align 8
@zeros = internal global [5 x i64] zeroinitializer, align 64
@steps = internal global [2 x ptr] [ptr @twice, ptr @plus_seven], align 8
@place = internal constant ptr getelementptr ([5 x i64], ptr @zeros, i64 0, i64 3), align 8

declare double @exp2(double)
declare ptr @memcpy(ptr, ptr, i64)

define internal i64 @twice(i64 %x) noinline {
  %y = mul i64 %x, 2
  ret i64 %y
}
define internal i64 @plus_seven(i64 %x) noinline {
  %y = add i64 %x, 7
  ret i64 %y
}
define i64 @step(i64 %which, i64 %x) {
  %slot = getelementptr [2 x ptr], ptr @steps, i64 0, i64 %which
  %function = load ptr, ptr %slot, align 8
  %y = call i64 %function(i64 %x)
  ret i64 %y
}
define i64 @next() {
  %old = load i64, ptr @count, align 8
  %new = add i64 %old, 1
  store i64 %new, ptr @count, align 8
  %at = load ptr, ptr @place, align 8
  %had = load i64, ptr %at, align 8
  %more = add i64 %had, %new
  store i64 %more, ptr %at, align 8
  ret i64 %more
}
define i64 @power(i64 %exponent) {
  %x = sitofp i64 %exponent to double
  %y = call double @exp2(double %x)
  %z = fptosi double %y to i64
  ret i64 %z
}
define i64 @copied(ptr %to, ptr %from, i64 %bytes) {
  %same = call ptr @memcpy(ptr %to, ptr %from, i64 %bytes)
  %address = ptrtoint ptr %same to i64
  ret i64 %address
}
define i64 @weight(i64 %number) {
  %at = getelementptr [4 x double], ptr @weights, i64 0, i64 %number
  %found = load double, ptr %at, align 8
  %much = fmul double %found, 2.0
  %whole = fptosi double %much to i64
  ret i64 %whole
}
define i64 @chosen(i64 %x, ptr %seen) {
  switch i64 %x, label %other [ i64 0, label %a  i64 1, label %b  i64 2, label %c
                                i64 3, label %d  i64 4, label %e  i64 5, label %f ]
a:
  store volatile i64 5, ptr %seen
  ret i64 17
b:
  ret i64 3
c:
  store volatile i64 8, ptr %seen
  ret i64 -9
d:
  %had = load volatile i64, ptr %seen
  ret i64 %had
e:
  ret i64 1234567890123
f:
  store volatile i64 1, ptr %seen
  ret i64 0
other:
  ret i64 99
}
"""
NAMES = ("step", "next", "power", "copied", "weight", "chosen")


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    directory = objects.private_directory(tmp_path / "cache")
    assert directory is not None
    return ObjectCache(directory)


def answers(addresses: list[int]) -> list[int]:
    """What the functions of MODULE give."""
    calls = [ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(a) for a in addresses]
    step, following, power, copied, weight, chosen = calls
    source, seen = np.arange(100), np.zeros(100, np.int64)
    found = [step(which, x, 0) for which in (0, 1) for x in (-5, 12)]
    found += [following(0, 0, 0) for _ in range(3)]
    found += [power(n, 0, 0) for n in (0, 5, 40)]
    assert copied(seen.ctypes.data, source.ctypes.data, 800) == seen.ctypes.data
    found += [weight(n, 0, 0) for n in range(4)]
    found += [chosen(n, seen.ctypes.data, 0) for n in (3, 0, 3, 1, 2, 3, 4, 5, 3, 6, -1)]
    return found + seen.tolist()


def test_the_same_as_llvms_linker(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    here = target.Target.host()
    own = answers(Engine(here, cache).load([MODULE], NAMES)[0])
    (payload,) = [p.read_bytes()[objects.HEADER_BYTES :] for p in cache.directory.glob("*.kernel")]
    assert is_binary(payload)
    assert unpacked(payload).data_bytes > 64
    assert own[:10] == [-10, 24, 2, 19, 41, 83, 126, 1, 32, 1 << 40]
    assert own[10:14] == [1, 4, -6, 16]
    monkeypatch.setattr(code_memory, "available", lambda: False)
    by_llvm = Engine(here, None)
    assert answers(by_llvm.load([MODULE], NAMES)[0]) == own
    assert by_llvm._jit is not None
    monkeypatch.undo()
    again = Engine(here, cache)  # from the disk
    assert answers(again.load([MODULE], NAMES)[0]) == own
    assert again._jit is None


def test_object_files_from_the_disk_are_linked_by_llvm(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no form as a binary stays an object file, beside binaries."""
    here = target.Target.host()
    texts = [MODULE, MODULE.replace("40, align", "50, align")]
    monkeypatch.setattr(linking, "binary_of", lambda code: None)
    expected = answers(Engine(here, cache).load(texts[:1], NAMES)[0])
    monkeypatch.undo()
    mixed = Engine(here, cache)
    found = mixed.load(texts, NAMES)
    assert mixed._jit is not None
    assert answers(found[0]) == expected
    assert answers(found[1])[4:7] == [51, 103, 156]


def test_16_bit_floats_by_functions_of_ours(cache: ObjectCache) -> None:
    """They are loaded with the first code that uses them, also from the disk."""
    head = "define i64 @half(i64 %bits) {\n  %x = bitcast i64 %bits to double\n"
    text = head + "  %h = fptrunc double %x to bfloat\n  %i = bitcast bfloat %h to i16\n"
    text += "  %w = zext i16 %i to i64\n  ret i64 %w\n}\n"
    for _ in range(2):
        own = Engine(target.SSE2, cache)
        ((address,),) = own.load([text], ("half",))
        half = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)
        for value, bits in ((1.0, 0x3F80), (-2.5, 0xC020), (1 + 2**-8 + 2**-40, 0x3F81)):
            assert half(int(np.float64(value).view(np.int64))) == bits
        assert own._jit is None
    assert len(list(cache.directory.glob("*.kernel"))) == 2


def test_memory_of_code_cannot_be_written(cache: ObjectCache) -> None:
    (addresses,) = Engine(target.Target.host(), cache).load([MODULE], NAMES)
    modes = set()
    for line in Path("/proc/self/maps").read_text("ascii").splitlines():
        span, mode, *_ = line.split()
        first, last = (int(part, 16) for part in span.split("-"))
        modes |= {mode for address in addresses if first <= address < last}
    assert modes == {"r-xp"}


def test_many_loads_are_few_mappings(cache: ObjectCache) -> None:
    own = Engine(target.Target.host(), cache)
    text = "define i64 @kernel() {{\n  ret i64 {}\n}}\n"
    own.load([text.format(1)], ("kernel",))
    before = engine.mappings()
    found = [own.load([text.format(n)], ("kernel",))[0][0] for n in range(2, 60)]
    assert engine.mappings() <= before + 12  # (of 58; the allocator makes some of its own)
    assert [ctypes.CFUNCTYPE(ctypes.c_int64)(a)() for a in found] == list(range(2, 60))


def test_no_memory_for_code(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(address: int, nbytes: int) -> None:
        raise OSError(13, "refused")

    own = Engine(target.Target.host(), cache)
    monkeypatch.setattr(code_memory.CodeMemory, "make_executable", staticmethod(refused))
    with pytest.raises(target.NoRoomForCode, match="refused"):
        own.load([MODULE], NAMES)


# ---- what is no binary ---------------------------------------------------------------------------


def example() -> Binary:
    found = linking.binary_of(target.compile_object(MODULE, target.Target.host()))
    assert found is not None
    return found


def test_other_files_are_not_linked() -> None:
    code = target.compile_object(MODULE, target.Target.host())
    assert linking.binary_of(target.compile_object(MODULE, target.NEON)) is None
    local = "@x = thread_local global i64 3\ndefine ptr @at() {\n  ret ptr @x\n}\n"
    assert linking.binary_of(target.compile_object(local, target.Target.host())) is None
    for wrong in (b"", b"\x7fELF", code[:100], code[:-200], b"MZ" + code[2:]):
        assert linking.binary_of(wrong) is None


def test_packed_and_unpacked() -> None:
    binary = example()
    again = unpacked(binary.packed())
    assert (again.code, again.data, again.exports) == (binary.code, binary.data, binary.exports)
    assert again.packed() == binary.packed()
    names = [name for name, _ in binary.imports]
    assert sorted(names) == ["exp2", "memcpy"]


CHANGES: list[Callable[[Binary], dict[str, Any]]] = [
    lambda b: {"exports": {"kernel": -1}},
    lambda b: {"exports": {"kernel": b.nbytes}},
    lambda b: {"imports": [*b.imports, ("exp2", b.nbytes - 7)]},
    lambda b: {"imports": [("exp2", -8)]},
    lambda b: {"pointers": [(b.nbytes, 0)]},
    lambda b: {"pointers": [(0, b.nbytes)]},
    lambda b: {"data_bytes": len(b.data) - 1},
    lambda b: {"data_bytes": "many"},
    lambda b: {"exports": ["kernel"]},
    lambda b: {"imports": 5},
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_places_outside_are_refused(number: int) -> None:
    binary = example()
    changed = binary._replace(**CHANGES[number](binary))
    with pytest.raises(RuntimeError, match="no binary"):
        unpacked(changed.packed())


def test_damaged_binaries_are_refused_or_stay_inside() -> None:
    whole, draw = example().packed(), random.Random(5)
    head = len(MAGIC) + 4 + whole[12:].index(b"}]") if b"}]" in whole else 600
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(head)] = draw.randrange(256)
        try:
            found = unpacked(bytes(data[: draw.choice([len(data), draw.randrange(len(data))])]))
        except RuntimeError:
            continue
        assert all(0 <= place <= found.nbytes - 8 for _, place in found.imports)
        assert all(0 <= place < found.nbytes for place in found.exports.values())


def test_imports_that_are_nowhere() -> None:
    with pytest.raises(RuntimeError, match="which is nowhere"):
        Binaries(lambda name: None).link([example()])


# ---- what LLVM says of the machine ---------------------------------------------------------------


def test_every_core_gives_the_same_answers() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        found = set()
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})
            found.add(host.cpu_answers())
    finally:
        os.sched_setaffinity(0, allowed)
    assert len(found) == 1 and None not in found


def test_the_host_is_kept(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = host._asked

    def counted() -> host.Host:
        asked.append(1)
        return ask()

    def found() -> host.Host:
        host.host.cache_clear()
        return host.host()

    monkeypatch.setattr(host, "_asked", counted)
    monkeypatch.setattr(host, "default_cache", lambda: cache)
    try:
        first = found()
        assert found() == first == ask()
        assert len(asked) == 1
        (entry,) = cache.directory.glob("*.kernel")
        key = bytes.fromhex(entry.stem)
        for wrong in (b"", b"[]", b"{}", json.dumps(["x"] * 6).encode(), b"\xff"):
            cache.put(key, wrong)
            assert found() == first
        assert len(asked) == 6
        monkeypatch.setattr(host, "_which_llvm", lambda: b"another")
        assert found() == first
        monkeypatch.setattr(host, "cpu_answers", lambda: b"another")
        assert found() == first
        assert len(asked) == 8
        monkeypatch.setattr(host, "_which_llvm", lambda: None)
        assert found() == found() == first
        assert len(asked) == 10
    finally:
        host.host.cache_clear()


def test_the_answers_are_those_of_the_system() -> None:
    """The flags that the kernel shows come from the same leaves."""
    flags = Path("/proc/cpuinfo").read_text("utf-8").split("flags")[1].split("\n")[0].split()
    answers = host.cpu_answers()
    assert answers is not None
    leaves, _ = eval(answers, {})
    registers = dict(leaves)
    for name, leaf, register, bit in (
        ("sse4_2", (1, 0), 1, 20),
        ("fma", (1, 0), 1, 12),
        ("avx2", (7, 0), 1, 5),
        ("avx512f", (7, 0), 1, 16),
        ("bmi2", (7, 0), 1, 8),
        ("sse2", (1, 0), 2, 26),
    ):
        assert (name in flags) == bool(registers[leaf][register] >> bit & 1), name
