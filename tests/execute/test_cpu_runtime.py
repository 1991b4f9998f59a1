"""The CPU runtime: targets, the kernel cache, loading, the program runner, threads and memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from flambeau.execute.cpu import objects, pool, runner, runtime, target
from flambeau.execute.cpu.engine import Engine, kernel_addresses
from flambeau.execute.cpu.objects import ObjectCache, object_key
from flambeau.execute.cpu.runtime import Failure, Record, call_run, encode_program, failure

ROOT = Path(__file__).resolve().parents[2]
HEAD = "define i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last)"

# table[0][task] += args[0] * (task + 1); then args[1] idle rounds, to spread tasks over threads.
COUNT = f"""
{HEAD} {{
entry:
  %counts = load ptr, ptr %table, align 8
  %factor = load i64, ptr %args, align 8
  %slot = getelementptr i64, ptr %args, i64 1
  %rounds = load i64, ptr %slot, align 8
  br label %tasks
tasks:
  %task = phi i64 [ %first, %entry ], [ %task1, %done ]
  %over = icmp sge i64 %task, %last
  br i1 %over, label %end, label %count
count:
  %task1 = add i64 %task, 1
  %amount = mul i64 %factor, %task1
  %cell = getelementptr i64, ptr %counts, i64 %task
  %old = atomicrmw add ptr %cell, i64 %amount monotonic
  br label %spin
spin:
  %i = phi i64 [ 0, %count ], [ %i1, %spin ]
  %i1 = add i64 %i, 1
  %seen = load volatile i64, ptr %cell, align 8
  %more = icmp slt i64 %i1, %rounds
  br i1 %more, label %spin, label %done
done:
  br label %tasks
end:
  ret i64 0
}}
"""

# Fails with code 100 + task at the first task with table[0][task] != 0.
FAIL = f"""
{HEAD} {{
entry:
  %flags = load ptr, ptr %table, align 8
  br label %tasks
tasks:
  %task = phi i64 [ %first, %entry ], [ %task1, %next ]
  %over = icmp sge i64 %task, %last
  br i1 %over, label %end, label %look
look:
  %cell = getelementptr i64, ptr %flags, i64 %task
  %flag = load i64, ptr %cell, align 8
  %bad = icmp ne i64 %flag, 0
  br i1 %bad, label %fail, label %next
next:
  %task1 = add i64 %task, 1
  br label %tasks
fail:
  %code = add i64 %task, 100
  ret i64 %code
end:
  ret i64 0
}}
"""


def constant_kernel(value: int) -> str:
    return f"{HEAD} {{\n  ret i64 {value}\n}}\n"


def called(address: int, table: int = 0, args: int = 0, first: int = 0, last: int = 1) -> int:
    word = ctypes.c_int64
    return int(ctypes.CFUNCTYPE(word, word, word, word, word)(address)(table, args, first, last))


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    directory = objects.private_directory(tmp_path / "cache")
    assert directory is not None
    return ObjectCache(directory)


class Counted:
    """A program of parallel counting records over `tasks` cells, and what it should count."""

    def __init__(self, tasks: int, records: int, rounds: int, seed: int = 0) -> None:
        draw = random.Random(seed)
        factors = [draw.randrange(1, 1000) for _ in range(records)]
        (address,) = kernel_addresses([COUNT])
        self.cells = np.zeros(tasks, np.int64)
        self.table = np.array([self.cells.ctypes.data], np.int64)
        self.program = encode_program(
            [
                Record(address, [f, rounds], tasks, parallel=i % 3 != 2)
                for i, f in enumerate(factors)
            ]
        )
        self.expected = sum(factors) * np.arange(1, tasks + 1)

    def run(self, *, release_gil: bool = True) -> int:
        return call_run(self.table.ctypes.data, self.program.ctypes.data, release_gil=release_gil)


# ---- targets -------------------------------------------------------------------------------------

VECTOR_KERNEL = f"""
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define internal <16 x float> @square(<16 x float> %x) alwaysinline {{
  %y = fmul <16 x float> %x, %x
  ret <16 x float> %y
}}
{HEAD} {{
  %p = load ptr, ptr %table, align 8
  %x = load <16 x float>, ptr %p, align 4
  %y = call <16 x float> @square(<16 x float> %x)
  %z = fadd <16 x float> %y, %x
  store <16 x float> %z, ptr %p, align 4
  ret i64 0
}}
"""


@pytest.mark.parametrize("name", list(target.TARGETS))
def test_every_target_compiles(name: str) -> None:
    code = target.compile_object(VECTOR_KERNEL, target.TARGETS[name])
    assert code[:4] == b"\x7fELF"
    machine = int.from_bytes(code[18:20], "little")
    assert machine == (183 if name == "neon" else 62)
    runner_code = target.compile_object(
        runner.runner_module(target.TARGETS[name]), target.TARGETS[name]
    )
    assert runner_code[:4] == b"\x7fELF"


def test_vector_width_attribute_reaches_every_function() -> None:
    text = target.with_function_attributes(VECTOR_KERNEL, target.AVX512)
    assert text.count('"prefer-vector-width"="512"') == 2


def test_no_contraction_without_an_explicit_fma() -> None:
    (address,) = kernel_addresses([VECTOR_KERNEL])
    x = np.random.default_rng(3).standard_normal(16).astype(np.float32)
    expected = x * x + x
    table = np.array([x.ctypes.data], np.int64)
    assert called(address, table.ctypes.data) == 0
    np.testing.assert_array_equal(x, expected)


def test_host_is_what_its_features_say() -> None:
    host = target.Target.host()
    assert host is target.Target.host()
    assert host.vector_bits in (128, 256, 512)
    assert (host.vector_bits == 512) == host.has("avx512f")


def test_importing_does_not_load_llvm() -> None:
    script = "import sys, flambeau.execute.cpu.runtime; assert 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


# ---- loading -------------------------------------------------------------------------------------


def test_equal_texts_have_one_address() -> None:
    first, second, again = kernel_addresses(
        [constant_kernel(71), constant_kernel(72), constant_kernel(71)]
    )
    assert first == again != second
    assert kernel_addresses([constant_kernel(72)]) == [second]
    assert [called(first), called(second)] == [71, 72]


def test_many_kernels_compile_in_parallel(cache: ObjectCache) -> None:
    own = Engine(target.Target.host(), cache)
    texts = [constant_kernel(1000 + i) for i in range(20)]
    addresses = [a[0] for a in own.load(texts, ("kernel",))]
    assert [called(a) for a in addresses] == [1000 + i for i in range(20)]


def test_python_threads_load_the_same_texts_at_once(cache: ObjectCache) -> None:
    own = Engine(target.Target.host(), cache)
    texts = [constant_kernel(2000 + i) for i in range(8)]
    found: list[list[list[int]]] = []

    def load() -> None:
        found.append(own.load(random.sample(texts, 8), ("kernel",)))

    loaders = [threading.Thread(target=load) for _ in range(4)]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
    assert len(found) == 4
    assert len({address for one in found for (address,) in one}) == 8


def test_refused_text_names_its_first_lines(cache: ObjectCache) -> None:
    bad = HEAD + " {\n  %x = add i64 %nothing, 1\n  ret i64 %x\n}\n"
    own = Engine(target.Target.host(), cache)
    with pytest.raises(target.KernelCompileError, match="%nothing, 1"):
        own.load([constant_kernel(5), bad], ("kernel",))
    # The failure is not remembered as a running load, and the good one is there.
    assert called(own.load([constant_kernel(5)], ("kernel",))[0][0]) == 5
    with pytest.raises(target.KernelCompileError):
        own.load([bad], ("kernel",))


def test_only_system_functions_may_stay_unresolved() -> None:
    calling = "declare double @{0}(double)\n" + HEAD + " {{\n  %x = call double @{0}(double 2.0)\n"
    calling += "  %y = fptosi double %x to i64\n  ret i64 %y\n}}\n"
    (address,) = kernel_addresses([calling.format("exp2")])
    assert called(address) == 4
    with pytest.raises(target.KernelCompileError, match="no_such_function"):
        kernel_addresses([calling.format("no_such_function")])
    with pytest.raises(target.KernelCompileError, match="lgamma"):
        kernel_addresses([calling.format("lgamma")])  # in the process, but not on the list
    with pytest.raises(target.KernelCompileError):
        kernel_addresses(["define i64 @other() {\n  ret i64 0\n}\n"])


# ---- the cache on disk ---------------------------------------------------------------------------


def test_round_trip_and_keys(cache: ObjectCache) -> None:
    keys = {object_key(text, t) for text in ("a", "b") for t in (target.AVX2, target.SSE2)}
    assert len(keys) == 4
    key, payload = keys.pop(), os.urandom(5000)
    assert cache.get(key) is None
    assert cache.put(key, payload)
    assert cache.get(key) == payload
    assert cache.path(key).stat().st_mode & 0o777 == 0o600
    assert cache.directory.stat().st_mode & 0o777 == 0o700


def test_damaged_entries_are_never_loaded(cache: ObjectCache) -> None:
    key, payload = os.urandom(32), os.urandom(300)
    draw = random.Random(1)
    size = objects.HEADER_BYTES + len(payload)
    for _ in range(50):
        cache.put(key, payload)
        data = bytearray(cache.path(key).read_bytes())
        if draw.random() < 0.5:
            data[draw.randrange(size)] ^= 1 << draw.randrange(8)
        else:
            data = data[: draw.randrange(size)]
        cache.path(key).write_bytes(data)
        assert cache.get(key) is None
        assert not cache.path(key).exists()
    cache.put(key, payload)
    other = os.urandom(32)
    cache.path(key).rename(cache.path(other))
    assert cache.get(other) is None


def test_engine_rebuilds_a_damaged_entry(cache: ObjectCache) -> None:
    text, host = constant_kernel(4321), target.Target.host()
    key = object_key(text, host)
    Engine(host, cache).load([text], ("kernel",))
    whole = cache.path(key).read_bytes()
    cache.path(key).write_bytes(whole[:-7])
    ((address,),) = Engine(host, cache).load([text], ("kernel",))
    assert called(address) == 4321
    assert cache.path(key).read_bytes() == whole


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners here")
def test_entries_that_others_can_write_are_not_trusted(cache: ObjectCache, tmp_path: Path) -> None:
    key, payload = os.urandom(32), b"code"
    for mode in (0o620, 0o602, 0o666):
        cache.put(key, payload)
        cache.path(key).chmod(mode)
        assert cache.get(key) is None
    cache.put(key, payload)
    cache.path(key).rename(tmp_path / "elsewhere")
    cache.path(key).symlink_to(tmp_path / "elsewhere")
    assert cache.get(key) is None
    if os.geteuid() == 0:
        cache.put(key, payload)
        os.chown(cache.path(key), 12345, 12345)
        assert cache.get(key) is None
    open_directory = tmp_path / "open"
    open_directory.mkdir()
    open_directory.chmod(0o777)
    assert objects.private_directory(open_directory) is None
    assert objects.private_directory(tmp_path / "elsewhere") is None


def test_sweep_drops_the_longest_unused(tmp_path: Path) -> None:
    cache, writer = ObjectCache(tmp_path, limit=10_000), ObjectCache(tmp_path)
    keys = [os.urandom(32) for _ in range(20)]
    for age, key in enumerate(keys):
        writer.put(key, os.urandom(1000))
        os.utime(cache.path(key), (time.time() - 60 * age,) * 2)
    (tmp_path / "notes.txt").write_text("not ours")
    cache.sweep()
    kept = [cache.get(key) is not None for key in keys]
    assert kept == sorted(kept, reverse=True)
    assert 0 < sum(kept) <= 10
    assert (tmp_path / "notes.txt").exists()


def stored(cache: ObjectCache) -> int:
    """Bytes of all entries."""
    total = 0
    for path in cache.directory.glob("*.kernel"):
        with contextlib.suppress(FileNotFoundError):  # others may sweep
            total += path.stat().st_size
    return total


def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[ObjectCache]:
    """Gets the cache of each sweep from now on."""
    found: list[ObjectCache] = []
    sweep = ObjectCache.sweep

    def noted(cache: ObjectCache) -> None:
        found.append(cache)
        sweep(cache)

    monkeypatch.setattr(ObjectCache, "sweep", noted)
    return found


def test_sweeps_come_when_there_may_be_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = sweeps(monkeypatch)
    for number in range(100):
        process = ObjectCache(tmp_path, limit=100_000)  # (knows nothing of those before)
        assert process.put(os.urandom(32), os.urandom(2000 + 10 * number))
        assert stored(process) <= process.limit
    # The first makes the tally; a quarter of what fits is written between two of the others.
    assert 2 <= len(seen) <= 2 + 300_000 // 25_000


def test_a_wrong_tally_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ObjectCache(tmp_path, limit=50_000)
    for _ in range(15):
        cache.put(os.urandom(32), os.urandom(1000))
    whole = cache.tally.path.read_bytes()
    size = cache.tally.read()
    assert size is not None and stored(cache) <= size <= stored(cache) + 15 * objects.TALLY_UNIT
    seen = sweeps(monkeypatch)
    old = objects.TALLY_HEAD.pack(objects.TALLY_MAGIC, int(time.time()) - 8 * 86400)
    later = objects.TALLY_HEAD.pack(objects.TALLY_MAGIC, int(time.time()) + 1000)
    wrong = [b"", whole[:9], b"X" + whole[1:], old + whole[16:], later, whole + bytes(99)]
    for number, content in enumerate(wrong):
        cache.tally.path.write_bytes(content)
        cache.put(os.urandom(32), b"code")
        assert len(seen) == number + 1
        size = cache.tally.read()
        assert size is not None and stored(cache) <= size < stored(cache) + objects.TALLY_UNIT
    making: list[Callable[[Path], None]] = [Path.mkdir, lambda p: p.symlink_to(tmp_path / "x")]
    if hasattr(os, "mkfifo"):
        making.append(os.mkfifo)
    for make in making:
        cache.tally.path.unlink()
        make(cache.tally.path)
        assert cache.put(os.urandom(32), b"code") and len(seen) > len(wrong)
        if cache.tally.path.is_dir():
            cache.tally.path.rmdir()
            cache.sweep()
        size = cache.tally.read()
        assert size is not None and stored(cache) <= size and not (tmp_path / "x").exists()


WHOLE_UNIT = objects.TALLY_UNIT - objects.HEADER_BYTES
MAKING_A_TALLY: dict[str, object] = {
    "_tallied": objects,
    "_new_file": objects,
    "replace": os,
    "_in_place": objects.Tally,
}


@pytest.mark.parametrize("step", MAKING_A_TALLY)
def test_no_tally_loses_what_others_add_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Another process stores before each step of making a new tally, and after it."""
    other = ObjectCache(tmp_path, limit=100_000)
    for _ in range(60):
        assert other.put(os.urandom(32), os.urandom(WHOLE_UNIT))
    real = getattr(MAKING_A_TALLY[step], step)
    stores = 0

    def beside(*arguments: object) -> object:
        nonlocal stores
        monkeypatch.setattr(MAKING_A_TALLY[step], step, real)
        found = []
        for act in (store, lambda: found.append(real(*arguments)), store):
            act()
        stores += 2
        monkeypatch.setattr(MAKING_A_TALLY[step], step, beside)
        return found[0]

    def store() -> None:
        assert other.put(os.urandom(32), os.urandom(WHOLE_UNIT))

    monkeypatch.setattr(MAKING_A_TALLY[step], step, beside)
    ObjectCache(tmp_path, limit=50_000).sweep()
    monkeypatch.setattr(MAKING_A_TALLY[step], step, real)
    size = other.tally.read()
    left = stored(other)
    assert stores and left < 70 * objects.TALLY_UNIT and size is not None
    # (What is added while one is replaced may count twice.)
    assert left <= size <= left + (20 + 2 * stores) * objects.TALLY_UNIT


def test_of_two_sweeps_at_once_neither_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ObjectCache(tmp_path, limit=50_000), ObjectCache(tmp_path, limit=50_000)
    look = first._without_the_oldest

    def slow() -> int:
        total = look()
        second.sweep()
        for _ in range(30):
            assert second.put(os.urandom(32), os.urandom(WHOLE_UNIT))
        return total

    monkeypatch.setattr(first, "_without_the_oldest", slow)
    for _ in range(10):
        second.put(os.urandom(32), os.urandom(WHOLE_UNIT))
    first.sweep()
    size = first.tally.read()
    assert size is not None and stored(first) <= size


FILLING = """
import os, sys
from pathlib import Path
from flambeau.execute.cpu.objects import ObjectCache
cache = ObjectCache(Path(sys.argv[1]), limit=400_000)
while True:
    cache.put(os.urandom(32), os.urandom(3000))
"""


def test_the_limit_holds_for_many_processes_that_are_killed(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=400_000)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FILLING, str(tmp_path)]
    for _ in range(2):
        looks, swept = [stored(cache)], 0
        writers = [subprocess.Popen(command, env=environment) for _ in range(3)]
        try:
            end = time.monotonic() + 60
            while swept < 3 and time.monotonic() < end:
                time.sleep(1e-3)
                looks.append(stored(cache))
                swept += looks[-1] < looks[-2] - 50_000
        finally:
            for writer in writers:
                writer.kill()
                writer.wait()
        # Beyond the limit is what others write while one looks: the more, the busier the machine.
        assert swept == 3 and max(looks) <= 2 * cache.limit
    cache.put(os.urandom(32), os.urandom(100))
    size = cache.tally.read()
    # Whoever is killed between putting a new tally into its place and a last look at the old one
    # loses what others have added to that meanwhile.
    lost = 3 * 4 * objects.TALLY_UNIT
    assert size is not None
    assert stored(cache) - lost <= size <= cache.limit + 2 * objects.TALLY_UNIT


RACE = """
import sys, ctypes
from flambeau.execute.cpu.engine import kernel_addresses
from tests.execute.test_cpu_runtime import constant_kernel, called
texts = [constant_kernel(7000 + i) for i in range(12)]
assert [called(a) for a in kernel_addresses(texts)] == [7000 + i for i in range(12)]
assert 'torch' not in sys.modules
"""


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script as a process of its own in the repository's root; asserts that it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done


def kernels(directory: Path) -> list[Path]:
    """The entries of a cache that hold machine code (others say in JSON what was found out)."""
    entries = directory.glob(f"*{objects.ENTRY}")
    return [p for p in entries if p.read_bytes()[objects.HEADER_BYTES :][:1] != b"["]


def test_processes_race_on_one_directory(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    racers = [
        threading.Thread(
            target=run_script, args=(RACE,), kwargs={"FLAMBEAU_CACHE_DIR": str(directory)}
        )
        for _ in range(3)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(kernels(directory)) == 12
    assert not any(path.name.endswith(objects.UNFINISHED) for path in directory.iterdir())
    before = {path.name: path.stat().st_ino for path in directory.iterdir()}
    run_script(RACE, FLAMBEAU_CACHE_DIR=str(directory))
    assert {path.name: path.stat().st_ino for path in directory.iterdir()} == before


def test_cache_switched_off_or_impossible(tmp_path: Path) -> None:
    run_script(RACE, FLAMBEAU_CACHE="0", FLAMBEAU_CACHE_DIR=str(tmp_path / "off"))
    assert not (tmp_path / "off").exists()
    (tmp_path / "file").write_text("in the way")
    run_script(RACE, FLAMBEAU_CACHE_DIR=str(tmp_path / "file" / "below"))
    run_script(RACE, FLAMBEAU_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert len(kernels(tmp_path / "xdg" / "flambeau")) == 12


# ---- running programs ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("release_gil", [True, False])
def test_every_task_runs_once(threads: None, count: int, release_gil: bool) -> None:
    pool.set_num_threads(count)
    for tasks, rounds in ((1, 10), (2, 10), (7, 3000), (1000, 1), (333, 100)):
        counted = Counted(tasks, 9, rounds, seed=tasks)
        repeats = 5
        for _ in range(repeats):
            assert counted.run(release_gil=release_gil) == 0
        np.testing.assert_array_equal(counted.cells, repeats * counted.expected)


def test_workers_that_went_to_sleep_come_back(threads: None) -> None:
    pool.set_num_threads(3)
    counted = Counted(50, 2, 200)
    for _ in range(10):
        assert counted.run() == 0
        time.sleep(0.003)
    np.testing.assert_array_equal(counted.cells, 10 * counted.expected)


def test_pool_threads_take_part(threads: None) -> None:
    """Two tasks that wait for each other finish only if two threads run them."""
    pool.set_num_threads(2)
    text = f"""
{HEAD} {{
entry:
  %p = load ptr, ptr %table, align 8
  %old = atomicrmw add ptr %p, i64 1 seq_cst
  br label %wait
wait:
  %seen = load atomic i64, ptr %p seq_cst, align 8
  %both = icmp eq i64 %seen, 2
  br i1 %both, label %end, label %wait
end:
  ret i64 0
}}
"""
    (address,) = kernel_addresses([text])
    program = encode_program([Record(address, [], 2, parallel=True)])
    for _ in range(20):
        cell = np.zeros(1, np.int64)
        table = np.array([cell.ctypes.data], np.int64)
        assert call_run(table.ctypes.data, program.ctypes.data, release_gil=True) == 0


@pytest.mark.parametrize("count", [1, 4])
def test_the_lowest_failing_task_is_reported(threads: None, count: int) -> None:
    pool.set_num_threads(count)
    counting, failing = kernel_addresses([COUNT, FAIL])
    draw = np.random.default_rng(4)
    for _ in range(30):
        flags = (draw.random(200) < 0.03).astype(np.int64)
        table = np.array([flags.ctypes.data], np.int64)
        first_bad = int(np.flatnonzero(flags)[0]) if flags.any() else None
        program = encode_program(
            [Record(failing, [], 200, parallel=True), Record(counting, [1, 1], 200, parallel=True)]
        )
        result = call_run(table.ctypes.data, program.ctypes.data, release_gil=True)
        if first_bad is None:
            assert result == 0
            assert flags.all()
        else:
            assert failure(result) == Failure(0, 100 + first_bad)
            assert flags.max() == 1, "no record runs after a failed one"


def test_a_failure_names_its_record() -> None:
    fine, bad = kernel_addresses([constant_kernel(0), constant_kernel(0xFFFFFFFF)])
    program = encode_program([Record(fine, [1, 2, 3]), Record(fine, []), Record(bad, [9])])
    assert failure(call_run(0, program.ctypes.data, release_gil=False)) == Failure(2, 0xFFFFFFFF)
    assert failure(0) is None


def test_programs_without_meaning_are_refused() -> None:
    for record in (Record(0, []), Record(8, [], -1), Record(8, [], 1 << 24, parallel=True)):
        with pytest.raises(ValueError, match="record 0"):
            encode_program([record])


def test_python_threads_run_at_once(threads: None) -> None:
    pool.set_num_threads(3)
    programs = [Counted(100, 6, 50, seed=i) for i in range(6)]
    repeats = 40

    def repeat(counted: Counted) -> None:
        for i in range(repeats):
            assert counted.run(release_gil=i % 2 == 0) == 0

    callers = [threading.Thread(target=repeat, args=(counted,)) for counted in programs]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for counted in programs:
        np.testing.assert_array_equal(counted.cells, repeats * counted.expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    done = run_script(
        """
import os
import numpy as np
from flambeau.execute.cpu import pool
from tests.execute.test_cpu_runtime import Counted, kernel_addresses, constant_kernel, called
pool.set_num_threads(3)
counted = Counted(100, 6, 50)
for _ in range(5):
    assert counted.run() == 0
child = os.fork()
for _ in range(20):
    assert counted.run() == 0
assert called(kernel_addresses([constant_kernel(77)])[0]) == 77
np.testing.assert_array_equal(counted.cells, 25 * counted.expected)
if child:
    assert os.waitpid(child, 0)[1] == 0
print(len(pool._workers.threads))
""",
        PYTHONWARNINGS="ignore",
    )
    assert done.stdout == "2\n2\n"


def test_no_thread_starts_before_a_parallel_record() -> None:
    run_script(
        """
import threading
from flambeau.execute.cpu import pool
from flambeau.execute.cpu.runtime import Record, call_run, encode_program
from tests.execute.test_cpu_runtime import Counted, constant_kernel, kernel_addresses
pool.set_num_threads(4)
program = encode_program([Record(kernel_addresses([constant_kernel(0)])[0], [], 50)])
assert call_run(0, program.ctypes.data, release_gil=True) == 0
assert threading.active_count() == 1
Counted(10, 3, 1).run()
assert threading.active_count() == 4
"""
    )


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "time.sleep(0.01)"])
def test_the_interpreter_ends_quietly(ending: str) -> None:
    """Also with a daemon thread amid its programs, and with programs run by exit handlers."""
    run_script(
        f"""
import atexit, sys, threading, time
from flambeau.execute.cpu import pool
from tests.execute.test_cpu_runtime import Counted, called, constant_kernel, kernel_addresses
pool.set_num_threads(3)
atexit.register(lambda: called(kernel_addresses([constant_kernel(5)])[0]))
atexit.register(kernel_addresses, [constant_kernel(6), constant_kernel(7), constant_kernel(8)])
last = Counted(50, 4, 20)
atexit.register(lambda: last.run())
mine, other = Counted(200, 6, 50), Counted(200, 6, 50)
def forever():
    while True:
        other.run()
threading.Thread(target=forever, daemon=True).start()
for _ in range(20):
    mine.run()
{ending}
"""
    )


def test_raw_run_functions_agree() -> None:
    functions = runtime.run_functions()
    (address,) = kernel_addresses([constant_kernel(3)])
    program = encode_program([Record(address, [])])
    expected = (1 << 32) | 3
    assert functions.releasing(0, program.ctypes.data, 1) == expected
    assert functions.holding(0, program.ctypes.data, 2) == expected


# ---- the number of threads -----------------------------------------------------------------------


def test_number_of_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    monkeypatch.delenv("FLAMBEAU_NUM_THREADS", raising=False)
    assert pool.default_num_threads() == 3
    monkeypatch.setenv("FLAMBEAU_NUM_THREADS", "5")
    assert pool.default_num_threads() == 5
    monkeypatch.setenv("FLAMBEAU_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="many"):
        pool.default_num_threads()
    monkeypatch.delenv("FLAMBEAU_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert 1 <= pool.default_num_threads() <= (os.cpu_count() or 1)


def test_set_num_threads(threads: None) -> None:
    pool.set_num_threads(7)
    assert pool.get_num_threads() == 7
    with pytest.raises(RuntimeError, match="positive"):
        pool.set_num_threads(0)
    with pytest.raises(TypeError, match="float"):
        pool.set_num_threads(2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"cpu.max": "max 100000"}, None),
        ("0::/../x\n", {"cpu.max": "50000 100000"}, 0.5),
        (
            "3:cpu,cpuacct:/job\n",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "300000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_control_group_quota(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float | None
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert pool.cgroup_cpus(tmp_path) == expected
    assert pool.cgroup_cpus(tmp_path / "nothing") is None
