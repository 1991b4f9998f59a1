"""The checking mode: each form of access is refused outside of its buffer, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau.execute.cpu import bounds, checking, runtime
from flambeau.execute.cpu.engine import KERNEL, engine
from flambeau.execute.cpu.target import has_matrix_unit

ROOT = Path(__file__).resolve().parents[2]

# Bodies over %p, a buffer of 16 float32, and %i, an index: the last one that is inside, then the
# first that is not.
ACCESSES = {
    "load": ("%q = getelementptr float, ptr %p, i64 %i\n%x = load float, ptr %q, align 4", 15),
    "vector load": (
        "%q = getelementptr float, ptr %p, i64 %i\n%x = load <4 x float>, ptr %q, align 4",
        12,
    ),
    "store": ("%q = getelementptr i64, ptr %p, i64 %i\nstore i64 %i, ptr %q, align 8", 7),
    "pointer store": ("%q = getelementptr ptr, ptr %p, i64 %i\nstore ptr %p, ptr %q, align 8", 7),
    "bits store": (
        "%q = getelementptr i8, ptr %p, i64 %i\nstore <16 x i1> splat (i1 true), ptr %q, align 1",
        62,
    ),
    "atomic": (
        "%q = getelementptr i32, ptr %p, i64 %i\n%x = atomicrmw add ptr %q, i32 1 monotonic",
        15,
    ),
    "atomic load": (
        "%q = getelementptr i64, ptr %p, i64 %i\n%x = load atomic i64, ptr %q seq_cst, align 8",
        7,
    ),
    # The last lane is off: one element less is touched.
    "masked load": (
        "%q = getelementptr float, ptr %p, i64 %i\n"
        "%x = call <4 x float> @llvm.masked.load.v4f32.p0(ptr %q, i32 4, <4 x i1> <i1 true,"
        " i1 true, i1 true, i1 false>, <4 x float> zeroinitializer)",
        13,
    ),
    "masked store": (
        "%q = getelementptr float, ptr %p, i64 %i\n"
        "%far = icmp slt i64 %i, 0\n"
        "%m0 = insertelement <4 x i1> <i1 true, i1 false, i1 true, i1 false>, i1 %far, i32 3\n"
        "call void @llvm.masked.store.v4f32.p0(<4 x float> zeroinitializer, ptr %q, i32 4,"
        " <4 x i1> %m0)",
        13,
    ),
    "gather": (
        "%v0 = insertelement <4 x i64> <i64 0, i64 3, i64 900, i64 5>, i64 %i, i32 1\n"
        "%v = getelementptr float, ptr %p, <4 x i64> %v0\n"
        "%x = call <4 x float> @llvm.masked.gather.v4f32.v4p0(<4 x ptr> %v, i32 4, <4 x i1> <i1"
        " true, i1 true, i1 false, i1 true>, <4 x float> zeroinitializer)",
        15,
    ),
    "scatter": (
        "%v0 = insertelement <4 x i64> <i64 0, i64 3, i64 900, i64 5>, i64 %i, i32 1\n"
        "%v = getelementptr float, ptr %p, <4 x i64> %v0\n"
        "call void @llvm.masked.scatter.v4f32.v4p0(<4 x float> zeroinitializer, <4 x ptr> %v,"
        " i32 4, <4 x i1> <i1 true, i1 true, i1 false, i1 true>)",
        15,
    ),
    "move": (
        "%q = getelementptr i8, ptr %p, i64 %i\n"
        "call void @llvm.memmove.p0.p0.i64(ptr %q, ptr %p, i64 16, i1 false)",
        48,
    ),
    "local": (
        "%a = alloca [4 x double], align 64\n"
        "%q = getelementptr double, ptr %a, i64 %i\nstore double 0.0, ptr %q, align 8",
        3,
    ),
    "local of the caller": (
        "%a = alloca [4 x double], align 64\ncall void @inner(ptr %a)\n"
        "%q = getelementptr float, ptr %p, i64 %i\n%x = load float, ptr %q, align 4",
        15,
    ),
    "constant": (
        "%q = getelementptr i32, ptr @numbers, i64 %i\n%x = load i32, ptr %q, align 4",
        2,
    ),
}
DECLARATIONS = """
declare <4 x float> @llvm.masked.load.v4f32.p0(ptr, i32, <4 x i1>, <4 x float>)
declare void @llvm.masked.store.v4f32.p0(<4 x float>, ptr, i32, <4 x i1>)
declare <4 x float> @llvm.masked.gather.v4f32.v4p0(<4 x ptr>, i32, <4 x i1>, <4 x float>)
declare void @llvm.masked.scatter.v4f32.v4p0(<4 x float>, <4 x ptr>, i32, <4 x i1>)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
@numbers = private constant [3 x i32] [i32 1, i32 2, i32 3]
define internal void @inner(ptr %a) noinline {
  %q = getelementptr double, ptr %a, i64 3
  store double 0.0, ptr %q, align 8
  ret void
}
"""


def kernel(body: str) -> str:
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    return f"""{DECLARATIONS}
define i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last) {{
entry:
  %p = load ptr, ptr %table, align 8
  %i = load i64, ptr %args, align 8
{lines}
  ret i64 0
}}
"""


def run(text: str, index: int) -> np.ndarray:
    """Runs the kernel on the middle of three buffers; all that lies around must stay as it is."""
    ((address,),) = engine().load([checking.checked(text)], (KERNEL,))
    memory = np.full(48, 7.0, np.float32)
    middle = memory[16:32]
    table = np.array([bounds.array_range(middle)[0]], np.int64)
    program = runtime.encode_program([runtime.Record(address, [index])])
    ranges = [bounds.array_range(x) for x in (middle, table, program)]
    try:
        with bounds.allowed(ranges, text, "test"):
            runtime.call_run(table.ctypes.data, program.ctypes.data, release_gil=True)
    finally:
        np.testing.assert_array_equal(memory[:16], 7.0)
        np.testing.assert_array_equal(memory[32:], 7.0)
    return middle


@pytest.mark.parametrize("name", list(ACCESSES))
def test_accesses_are_refused_outside_of_their_buffer(name: str) -> None:
    body, last = ACCESSES[name]
    text = kernel(body)
    run(text, last)
    for index in (last + 1, -1):
        with pytest.raises(bounds.MemoryAccessError, match=r"kernel 'test': .*touches bytes"):
            run(text, index)
    run(text, last)


@pytest.mark.skipif(not has_matrix_unit(), reason="this CPU has no matrix unit")
def test_tiles_are_refused_outside_of_their_buffer() -> None:
    # Sixteen rows of 64 bytes: the buffer has one.
    body = (
        "call void @llvm.x86.ldtilecfg(ptr @tiles)\n"
        "call void @llvm.x86.tileloadd64(i8 0, ptr %p, i64 %i)\n"
        "call void @llvm.x86.tilerelease()"
    )
    words = ", ".join(
        f"i8 {w}" for w in [1] + [0] * 15 + [64, 0] * 8 + [0] * 16 + [16] * 8 + [0] * 8
    )
    text = (
        "declare void @llvm.x86.ldtilecfg(ptr)\ndeclare void @llvm.x86.tilerelease()\n"
        "declare void @llvm.x86.tileloadd64(i8 immarg, ptr, i64)\n"
        f"@tiles = private constant [64 x i8] [{words}], align 64\n"
    ) + kernel(body)
    run(text, 0)
    with pytest.raises(bounds.MemoryAccessError, match="tileloadd64"):
        run(text, 64)


def test_an_unknown_access_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="does not know this access: %x = cmpxchg"):
        checking.checked(kernel("%x = cmpxchg ptr %p, i64 0, i64 1 monotonic monotonic, align 8"))
    with pytest.raises(NotImplementedError, match="does not know this access: call void @llvm"):
        checking.checked(kernel("call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 8, i1 false)"))


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with mprotect")
def test_guard_pages_end_the_process() -> None:
    script = (
        "import ctypes, sys; from flambeau.execute.cpu.bounds import guarded\n"
        "keep, start = guarded(100)\n"
        "assert start % 64 == 0\n"
        "ctypes.memset(start, 1, 100)\n"
        "print('inside', flush=True)\n"
        "ctypes.memset(start, 1, 4096)\n"
        "print('past the end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "inside\n"
    assert done.returncode < 0


def test_programs_run_checked_and_give_the_same() -> None:
    """A training step with a convolution, products, reductions and draws, with and without."""
    script = """
import flambeau as torch
from flambeau.execute.cpu import bounds
torch.manual_seed(3)
nn = torch.nn
model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                      nn.Dropout(0.3), nn.Linear(27, 10))
optimizer = torch.optim.Adam(model.parameters())
x, y = torch.randn(7, 1, 8, 8), torch.randint(0, 10, (7,))
for _ in range(4):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
print(bounds.switched_on())
"""
    printed = []
    for wanted in ("0", "1"):
        environment = os.environ | {"FLAMBEAU_CHECK": wanted, "FLAMBEAU_EXECUTOR": "compiled"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.split())
    assert printed[0][:-1] == printed[1][:-1]
    assert [p[-1] for p in printed] == ["False", "True"]
