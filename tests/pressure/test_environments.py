"""Environments that give little: no home, no threads, few files, little memory, closed streams, the
C locale, Python's own modes. A training gives the same bits in each of them.
"""

from __future__ import annotations

import os
import resource
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from . import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and modes of files")

# Trains a network whose kernels take threads, and writes what it has come to into a file: some
# forms have no standard output.
TRAIN = """
import sys
import flambeau as torch
torch.manual_seed(0)
x = torch.randn(256, 256)
model = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for batch in [b for _ in range(2) for (b,) in torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x), batch_size=128)]:
    loss = model(batch).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with open("result", "w") as file:
    file.write(loss.item().hex())
print("Größe", flush=True) if {prints!r} else None
"""


class Form(NamedTuple):
    """Python's options, environment variables (None: unset), and what the process does first."""

    options: tuple[str, ...] = ()
    variables: dict[str, str | None] = {}  # noqa: RUF012 (never changed)
    first: Callable[[], object] = lambda: None
    prints: bool = False


def _limit(which: int, most: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(which, (most, most))


def _without_streams() -> None:
    for stream in (0, 1, 2):
        os.close(stream)


def _on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


GIB = 1 << 30
FORMS = {
    "as it is": Form(),
    "one core": Form(first=_on_one_core),
    "no home": Form(variables={"HOME": None, "XDG_CACHE_HOME": None}),
    "a home that is not there": Form(variables={"HOME": "/proc/none", "XDG_CACHE_HOME": None}),
    "a cache that cannot be made": Form(variables={"FLAMBEAU_CACHE_DIR": "/proc/none"}),
    "no place for temporary files": Form(variables={"TMPDIR": "/proc/none"}),
    "the C locale": Form(
        variables={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    "UTF-8": Form(variables={"LC_ALL": "C.UTF-8"}, prints=True),
    "another hash seed": Form(variables={"PYTHONHASHSEED": "4321"}),
    "-O": Form(options=("-O",)),
    "-I -S": Form(options=("-I", "-S")),
    "no streams": Form(first=_without_streams),
    "little address space": Form(first=_limit(resource.RLIMIT_AS, 2 * GIB)),
    "few open files": Form(first=_limit(resource.RLIMIT_NOFILE, 24)),
    "a small stack": Form(first=_limit(resource.RLIMIT_STACK, 512 << 10)),
}


def trained(form: Form, folder: Path) -> str:
    result = folder / "result"
    script = TRAIN.format(prints=form.prints)
    places = [str(ROOT), *site.getsitepackages()]
    file = folder / "train.py"
    file.write_text(f"import sys; sys.path[:0] = {places!r}\n{script}", "utf-8")
    given = {**os.environ, "FLAMBEAU_CACHE_DIR": str(folder / "cache"), **form.variables}
    given |= {"FLAMBEAU_EXECUTOR": "compiled", "FLAMBEAU_CHECK": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *form.options, str(file)],
        env={name: value for name, value in given.items() if value is not None},
        preexec_fn=form.first,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return result.read_text()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(Form(), tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("name", FORMS)
def test_same_training(name: str, usual: str, tmp_path: Path) -> None:
    folder = tmp_path / "ein Verzeichnis mit Ümläuten"
    folder.mkdir()
    assert trained(FORMS[name], folder) == usual


@pytest.mark.skipif(os.getuid() != 0, reason="another user's number of processes is limited")
def test_no_more_threads(usual: str) -> None:
    """A user who may have one process trains without helpers."""
    nobody = 65534

    def alone() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        for command in ([sys.executable, "-c", "0"], ["test", "-w", name]):
            try:
                if subprocess.run(command, user=nobody, cwd="/", check=False).returncode:
                    raise PermissionError
            except PermissionError:
                pytest.skip("this Python, or the folder, is not for other users")
        form = Form(variables={"FLAMBEAU_NUM_THREADS": "4"}, first=alone)
        assert trained(form, folder) == usual


def test_an_explanation_that_cannot_be_written(tmp_path: Path) -> None:
    """What was found is shown all the same, without a traceback."""
    script = tmp_path / "script.py"
    script.write_text("import torch\nprint((torch.ones(3) * 2).sum().item())\n")
    done = subprocess.run(
        [sys.executable, "-m", "flambeau.cli", "explain", "--out", "/proc/page.html", str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "6.0"
    assert "not written: " in done.stderr and "/proc/page.html" in done.stderr
    assert "Traceback" not in done.stderr
