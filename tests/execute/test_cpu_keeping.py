"""Compiled programs on disk: equal programs have equal keys, others do not; a later process uses
what an earlier one has compiled, and gives the same bits.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.core.dtypes import float32, int64
from flambeau.execute.cpu import bounds, engine, keeping, objects
from flambeau.execute.cpu.engine import Engine
from flambeau.execute.cpu.keeping import spelling
from flambeau.execute.cpu.objects import ObjectCache
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference import heap
from flambeau.graph.program import Program, Update
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise, reduction, source
from flambeau.ops.value import Scalar, Value

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
import flambeau as torch

torch.manual_seed(0)
torch.set_num_threads(1)
model = torch.nn.Sequential(
    torch.nn.Linear(40, 30), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(30, 3)
)
update = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x, y = torch.rand(16, 40), torch.randint(0, 3, (16,))
for _ in range(5):
    update.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    update.step()
    print(loss.item().hex())
print(model[0].weight.sum().item().hex())
print("flambeau.execute.cpu.compiler" in sys.modules)
"""


def base(number: int, size: int = 6) -> Value:
    return source.program_input("base", number, (size,), float32)


def program(
    factor: Scalar = 2, axis: int = 0, size: int = 6, other: int = 1, update: bool = True
) -> Program:
    x, y = base(0, size), base(other, size)
    result = elementwise.where(ar.lt(x, y), ar.mul(x, factor), y)
    total = reduction.sum_(result, axes=(axis,))
    updates = (Update(0, result),) if update else ()
    return Program(((float32, size), (float32, size)), (int64,), (total,), updates)


def test_equal_programs_have_equal_spellings() -> None:
    first = spelling(program())
    assert first is not None
    assert first == spelling(program())
    others = [program(3), program(size=7), program(other=0), program(update=False)]
    spelled = [first, *map(spelling, others)]
    assert len(set(spelled)) == len(spelled)


def test_derivatives_that_are_given_say_nothing_of_the_data() -> None:
    x = Value(base(0).primitive, (), base(0).attrs, (6,), float32, True)
    found = []
    for factor in (2, 2, 3):
        shown = elementwise.exp(ar.mul(source.detach(x), factor))
        linked = source.with_derivative(shown, x, lambda ct, x: ar.mul(ct, x))
        found.append(
            spelling(Program(((float32, 6),), (), (reduction.sum_(linked, axes=(0,)),), ()))
        )
    assert found[0] is not None
    assert found[0] == found[1] != found[2]


def test_what_is_no_plain_data_is_not_kept() -> None:
    x = base(0)
    odd = Value(x.primitive, (), {**x.attrs, "odd": object()}, x.shape, x.dtype, False)
    assert spelling(Program(((float32, 6),), (), (odd,), ())) is None


def in_process(folder: Path) -> list[str]:
    # Programs are not kept in the checking mode.
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(folder), "FLAMBEAU_CHECK": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("damaged", ["nothing", "programs", "half", "all"])
def test_later_processes_do_not_compile(tmp_path: Path, damaged: str) -> None:
    *first, compiled = in_process(tmp_path)
    assert compiled == "True"
    entries = sorted(tmp_path.glob("*.kernel"))
    programs = [path for path in entries if b'"calls"' in path.read_bytes()]
    assert 1 <= len(programs) < len(entries)
    hurt = {"nothing": [], "programs": programs, "half": entries[::2], "all": entries}[damaged]
    for path in hurt:
        path.write_bytes(path.read_bytes()[:-3] + b"???")
    *again, compiled = in_process(tmp_path)
    assert again == first
    assert compiled == str(damaged != "nothing")
    assert in_process(tmp_path) == [*first, "False"]


@pytest.mark.skipif(bounds.switched_on(), reason="checked programs are not kept")
def test_what_the_compiler_leaves_is_given_back_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = objects.private_directory(tmp_path / "cache")
    assert folder is not None
    trims: list[int] = []
    monkeypatch.setattr(heap, "trim", lambda: trims.append(1))
    # Compiled; on the disk; compiled, and little.
    for much, size, kept in ((1, 6, False), (1, 6, True), (1 << 30, 7, False)):
        process = Engine(Target.host(), ObjectCache(folder))
        for module in (keeping, engine):
            monkeypatch.setattr(module, "engine", lambda process=process: process)
        monkeypatch.setattr(keeping, "MUCH_TEXT", much)
        compiled = keeping.compiled_program(program(size=size))
        assert (compiled.made is None) == kept
        assert trims == [1]
