"""Disks that are full, read-only or not there, and caches that nobody should trust."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flambeau.execute.cpu import objects

from . import ROOT, TIMES, run_script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and modes of files")

# Prints what a short training has come to; argument: a limit for the size of files, or 0.
TRAIN = """
import resource, sys, warnings
warnings.simplefilter("always")
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import flambeau as torch
torch.manual_seed(0)
w = torch.rand(20, requires_grad=True)
x, y = torch.rand(16, 20), torch.rand(16)
for _ in range(3):
    w.grad = None
    loss = (((x * w).sum(1) - y) ** 2).sum()
    loss.backward()
    with torch.no_grad():
        w -= 0.01 * w.grad
    print(loss.item().hex())
"""


def trained(folder: Path, limit: int = 0, **environment: str) -> str:
    given = {"FLAMBEAU_CACHE_DIR": str(folder), "FLAMBEAU_CHECK": "0", **environment}
    return run_script(TRAIN, str(limit), FLAMBEAU_EXECUTOR="compiled", **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache that a training has filled, and what that has printed."""
    folder = tmp_path_factory.mktemp("cache") / "kernels"
    said = trained(folder)
    assert trained(folder) == said
    return folder, said


def test_a_full_disk_keeps_no_kernels(tmp_path: Path, whole: tuple[Path, str]) -> None:
    for limit in (1, 5000):
        folder = tmp_path / str(limit)
        assert trained(folder, limit) == whole[1]
        assert not any(path.name.endswith(objects.UNFINISHED) for path in folder.iterdir())
    assert trained(tmp_path / "1") == whole[1]  # there is room again


@pytest.mark.parametrize("what", ["missing parent", "read-only", "no home"])
def test_no_place_for_kernels(tmp_path: Path, whole: tuple[Path, str], what: str) -> None:
    folder = tmp_path / "cache"
    environment = {}
    if what == "missing parent":
        folder = tmp_path / "file" / "below" / "cache"
        (tmp_path / "file").write_text("in the way")
    elif what == "read-only":
        folder = Path("/proc/self/flambeau")  # nobody can write there, not even root
    else:
        home = {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "", "TMPDIR": "/proc/nowhere"}
        environment = {"FLAMBEAU_CACHE_DIR": "", **home}
    assert trained(folder, **environment) == whole[1]


SAVE = """
import resource, sys
import flambeau as torch
path = sys.argv[1]
torch.save({"a": torch.arange(1000.0)}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for legacy in (False, True):
    try:
        torch.save({"a": torch.zeros(100_000)}, path, _use_new_zipfile_serialization=not legacy)
    except (OSError, RuntimeError) as error:
        print(type(error).__name__)
assert torch.load(path)["a"].tolist() == list(range(1000))
torch.save({"a": torch.ones(3)}, path)
assert torch.load(path)["a"].tolist() == [1.0] * 3
try:
    torch.save({"a": torch.zeros(100_000)}, "/dev/full")
except (OSError, RuntimeError) as error:
    print(type(error).__name__)
"""


def test_a_full_disk_while_saving(tmp_path: Path) -> None:
    """The file that was there stays as it was."""
    said = run_script(SAVE, str(tmp_path / "model.pt")).split()
    assert len(said) == 3 and set(said) <= {"OSError", "RuntimeError"}, said
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


# ---- entries that nobody should trust ------------------------------------------------------------


def signed(key: bytes, payload: bytes) -> bytes:
    """An entry as the cache itself would write it."""
    digest = hashlib.sha256(key + payload).digest()
    return b"".join([objects.MAGIC, digest, key, payload])


def is_program(path: Path) -> bool:
    return path.read_bytes()[objects.HEADER_BYTES :].startswith(b"{")


def damage(folder: Path, how: str, draw: random.Random) -> None:
    """Makes all entries of a cache wrong, in one way or each in another."""
    entries = sorted(folder.glob("*.kernel"))
    contents = [path.read_bytes() for path in entries]
    anyhow = how == "anyhow"
    for number, path in enumerate(entries):
        how = draw.choice(SIMPLE) if anyhow else how
        data = bytearray(contents[number])
        key = bytes.fromhex(path.stem)
        if how == "flipped":
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif how == "cut":
            del data[draw.randrange(len(data)) :]
        elif how == "grown":
            data += b"\0" * draw.randrange(1, 5000)
        elif how == "empty":
            data.clear()
        elif how == "swapped":
            data[:] = contents[number - 1]
        elif how == "other key":
            data[:] = signed(os.urandom(32), bytes(data[objects.HEADER_BYTES :]))
        elif how == "huge":
            with path.open("r+b") as file:
                file.truncate(3 << 30)  # sparse
            continue
        elif how == "hostile programs" and is_program(path):
            entry = json.loads(data[objects.HEADER_BYTES :])
            wrong = draw.choice(HOSTILE)
            payload = wrong if isinstance(wrong, bytes) else json.dumps({**entry, **wrong}).encode()
            data[:] = signed(key, payload)
        elif how == "no code" and not is_program(path):
            data[:] = signed(key, draw.choice([b"", b"\x7fELF", os.urandom(300)]))
        path.write_bytes(data)


# Well signed, as only a version of ours with a fault could have written it.
HOSTILE: list[Any] = [
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    {"kernels": ["zz"]},
    {"kernels": None},
    {"kernels": ["00" * 32]},
    {"calls": [[99, 1, 0, []]]},
    {"calls": [["a", 1, 0, []]]},
    {"calls": 5},
    {"arena": "much"},
]
SIMPLE = ["flipped", "cut", "grown", "empty", "swapped", "other key", "huge"]


@pytest.mark.parametrize("how", ["anyhow", "hostile programs", "no code"])
def test_damaged_entries_are_compiled_anew(
    tmp_path: Path, whole: tuple[Path, str], how: str
) -> None:
    folder = tmp_path / "cache"
    for turn in range(TIMES):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole[0], folder)
        folder.chmod(0o700)
        damage(folder, how, random.Random(how + str(turn)))
        assert trained(folder) == whole[1]


def open_folder(folder: Path) -> None:
    folder.chmod(0o777)


def others_folder(folder: Path) -> None:
    os.chown(folder, 12345, 12345)


def entries(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        if number % 4 == 0:
            path.chmod(0o666)
        elif number % 4 == 1:
            os.chown(path, 12345, 12345)
        elif number % 4 == 2:
            path.rename(folder.parent / path.name)
            path.symlink_to(folder.parent / path.name)
        else:
            path.unlink()
            os.mkfifo(path)


@pytest.mark.parametrize("spoil", [open_folder, others_folder, entries])
def test_what_others_could_have_written_is_not_used(
    tmp_path: Path, whole: tuple[Path, str], spoil: Callable[[Path], None]
) -> None:
    """The object code in it ends the process if it is run: an `ud2` at each function's begin."""
    if spoil is not open_folder and os.geteuid() != 0:
        pytest.skip("needs to be root")
    folder = tmp_path / "cache"
    shutil.copytree(whole[0], folder)
    folder.chmod(0o700)
    for path in folder.glob("*.kernel"):
        if not is_program(path):
            code = path.read_bytes()[objects.HEADER_BYTES :]
            path.write_bytes(signed(bytes.fromhex(path.stem), b"\x0f\x0b" * (len(code) // 2)))
    spoil(folder)
    assert trained(folder) == whole[1]


def test_killed_writers_share_a_cache(tmp_path: Path, whole: tuple[Path, str]) -> None:
    """Processes that fill one cache are killed at any moment; those that stay are right, and what
    all have left is what one alone leaves.
    """
    folder = tmp_path / "cache"
    draw = random.Random(3)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FLAMBEAU_CACHE_DIR": str(folder),
        "FLAMBEAU_EXECUTOR": "compiled",
        "FLAMBEAU_CHECK": "0",
    }
    for _ in range(TIMES):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, "0"],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in running[1:]:
            time.sleep(draw.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
        for process in running[1:]:
            process.communicate()
        assert running[0].communicate(timeout=120)[0] == whole[1]
    assert trained(folder) == whole[1]
    cache = objects.ObjectCache(folder)
    for path in folder.glob("*.kernel"):
        assert cache.get(bytes.fromhex(path.stem)) is not None
        assert path.read_bytes() == (whole[0] / path.name).read_bytes()
