"""Native functions on disk: a later process has them without LLVM, and does what an earlier one
did; what is not theirs is not used.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flambeau.execute.cpu import (
    code_memory,
    engine,
    kept_functions,
    objects,
    target,
    word_functions,
)
from flambeau.execute.cpu.engine import Engine
from flambeau.execute.cpu.entrances import available, builtins
from flambeau.execute.cpu.objects import ObjectCache
from flambeau.execute.cpu.target import Target
from flambeau.execute.cpu.word_functions import api, at, given
from flambeau.record import words

pytestmark = pytest.mark.skipif(not available(), reason="the interpreter has no such calls")
ROOT = Path(__file__).resolve().parents[2]

TRAINING = """
import sys
import flambeau as torch
from flambeau.record import flushing, recorder
from flambeau.record.recording import LOCAL

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(9, 16), torch.nn.BatchNorm1d(16), torch.nn.ELU(), torch.nn.Linear(16, 1)
)
update = torch.optim.Adam(model.parameters(), lr=0.01)
x, y = torch.rand(32, 9), torch.rand(32, 1)
for _ in range(30):
    update.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    update.step()
    print(loss.item().hex())
print(*[p.sum().item().hex() for p in model.parameters()])
print("llvmlite" in sys.modules)
functions = sys.modules["flambeau.execute.cpu.word_functions"]
print(functions._definitions.cache_info().currsize > 0)
cards = [state.known.card for state in states(LOCAL.root) if state.known is not None]
print(recorder._known_op is not None and any(card.ran_often(1) for card in cards if card))
"""
STATES = """
def states(state):
    yield state
    for following in state.next.values():
        yield from states(following)
"""


def trained(folder: Path) -> list[str]:
    """What a training prints, in a process of its own with this cache."""
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(folder), "FLAMBEAU_CHECK": "0"}
    environment |= {"FLAMBEAU_SYNC": "0", "FLAMBEAU_EXECUTOR": "auto"}
    done = subprocess.run(
        [sys.executable, "-c", STATES + TRAINING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")


@pytest.mark.skipif(not words.known(), reason="no native flushes")
@pytest.mark.skipif(not code_memory.available(), reason="LLVM links here")
def test_later_processes_load_no_llvm(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    *losses, llvm, translated, native, _ = trained(folder)
    assert [llvm, translated, native] == ["True", "True", "True"]
    *again, llvm, translated, native, _ = trained(folder)
    assert [llvm, translated, native] == ["False", "False", "True"]
    assert again == losses
    kept = [path for path in folder.iterdir() if b'"functions"' in path.read_bytes()]
    assert len(kept) == 3
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1] + b" ")
    *again, llvm, translated, native, _ = trained(folder)
    assert [llvm, translated, native] == ["False", "True", "True"]  # but their code was there
    assert again == losses
    *again, llvm, translated, native, _ = trained(folder)
    assert [llvm, translated, native] == ["False", "False", "True"]
    assert again == losses


# ---- what names them -----------------------------------------------------------------------------


def answer(_: int, args: int, count: int) -> Any:
    """The word that is given, and one more than a number."""
    return api.PyLong_FromLongLong(given.BASE + one_more(at.NUMBER))


def one_more(number: int) -> Any:
    return number + 1


class Kept:
    """`answer` as processes with one cache would make it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = objects.private_directory(directory)
        assert folder is not None
        self.cache = ObjectCache(folder)
        self.translations = 0
        self.patch = monkeypatch
        translate = word_functions.translated

        def counted(*arguments: Any) -> word_functions.Module:
            self.translations += 1
            return translate(*arguments)

        monkeypatch.setattr(kept_functions, "translated", counted)

    def made(
        self, number: int, base: int = 1000, inlined: Callable[..., Any] = one_more
    ) -> tuple[int, int]:
        """What it answers, and how many translations that took."""
        before = self.translations
        self.process()
        return self.answer(number, base, inlined), self.translations - before

    def process(self) -> Engine:
        """As a new process begins."""
        process = Engine(Target.host(), self.cache)
        self.patch.setattr(kept_functions, "engine", lambda: process)
        return process

    def answer(self, number: int, base: int = 1000, inlined: Callable[..., Any] = one_more) -> int:
        (run,) = builtins((answer,), (inlined,), {"NUMBER": number}, {"BASE": base}) or (None,)
        return int(run())

    def entries(self) -> list[Path]:
        files = self.cache.directory.glob("*.kernel")
        return [path for path in files if b'"functions"' in path.read_bytes()]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(tmp_path / "cache", monkeypatch)


def test_numbers_and_code_are_part_of_the_name(kept: Kept) -> None:
    assert kept.made(5) == (1006, 1)
    assert kept.made(5) == (1006, 0)
    assert kept.made(5, base=70) == (76, 0)  # a word, which the code only reads
    assert kept.made(6) == (1007, 1)
    assert kept.made(5) == (1006, 0)
    source = 'def one_more(number):\n    """Says this and that."""\n    return number + {}\n'
    others = {}
    for more in (1, 40):
        space: dict[str, Any] = {}
        exec(compile(source.format(more), __file__, "exec"), space)
        others[more] = space["one_more"]
    assert len({kept_functions._spelled(f) for f in (one_more, *others.values())}) == 3
    assert len(kept.entries()) == 2


def test_the_translator_is_part_of_the_name(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.made(5) == (1006, 1)
    monkeypatch.setattr(kept_functions, "compiler_sources", lambda: "others")
    assert kept.made(5) == (1006, 1)
    monkeypatch.setattr(kept_functions, "compiler_sources", lambda: None)  # no files
    assert kept.made(5) == kept.made(5) == (1006, 1)
    assert len(kept.entries()) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_what_is_begun_is_compiled_once_on_another_thread_and_by_children_anew(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def noted(*arguments: Any) -> bytes:
        names.append(threading.current_thread().name)
        return target.compile_object(*arguments)

    monkeypatch.setattr(engine, "compile_object", noted)
    process = kept.process()
    monkeypatch.setattr(engine._Holder, "engine", process)
    for number in range(4):
        kept_functions.begin((answer,), (one_more,), {"NUMBER": number})
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if kept.answer(3) == 1004 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [kept.answer(number) for number in range(4)] == [1001, 1002, 1003, 1004]
    assert names == ["flambeau-compile"] * 4 and kept.translations == 4
    kept.process()
    kept_functions.begin((answer,), (one_more,), {"NUMBER": 2})  # the disk has it
    assert kept.answer(2) == 1003 and len(names) == 4


WRONG: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    {"given": None},
    {"given": 5},
    {"functions": "zz"},
    {"functions": "00" * 32},
    {"functions": ["00" * 32]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_entries_of_others_are_not_used(kept: Kept, wrong: Any) -> None:
    assert kept.made(5) == (1006, 1)
    (path,) = kept.entries()
    key = bytes.fromhex(path.stem)
    entry = json.loads(kept.cache.get(key) or b"")
    kept.cache.put(key, wrong if type(wrong) is bytes else json.dumps({**entry, **wrong}).encode())
    assert kept.made(5) == (1006, 1)
    assert kept.made(5) == (1006, 0)


def test_code_that_is_gone_or_damaged_is_made_anew(kept: Kept) -> None:
    assert kept.made(5) == (1006, 1)
    (path,) = kept.entries()
    (code,) = set(kept.cache.directory.glob("*.kernel")) - {path}
    code.write_bytes(code.read_bytes()[:-2])
    assert kept.made(5) == (1006, 1)
    code.chmod(0o666)
    assert kept.made(5) == (1006, 1)
    kept.cache.put(bytes.fromhex(code.stem), b"no code")
    assert kept.made(5) == (1006, 1)
    shutil.rmtree(kept.cache.directory)
    assert kept.made(5) == (1006, 1)
