"""Checkpoint files with damage and with malice, drawn from a seed, and what must come of them."""

from __future__ import annotations

import io
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import flambeau

# A pickle that is obeyed writes this file; its absence is the proof that none was.
PAYLOAD = "open({!r}, 'w').close()"
FINE = (
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    NotImplementedError,
    ValueError,
)


def whole() -> list[bytes]:
    """One small checkpoint in each format."""
    flambeau.manual_seed(0)
    model = flambeau.nn.Sequential(flambeau.nn.Linear(3, 4), flambeau.nn.BatchNorm1d(4))
    optimizer = flambeau.optim.Adam(model.parameters())
    model(flambeau.randn(5, 3)).sum().backward()
    optimizer.step()
    value = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "more": [1, 2.5, "text", b"bytes", {3}, 10**30, flambeau.arange(40).to(flambeau.uint16)],
    }
    made = []
    for as_zip in (True, False):
        file = io.BytesIO()
        flambeau.save(value, file, _use_new_zipfile_serialization=as_zip)
        made.append(file.getvalue())
    return made


def in_zip(data: bytes, storages: dict[str, bytes] | None = None, packed: bool = False) -> bytes:
    """An archive around the given pickle."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        for name, content in (storages or {}).items():
            archive.writestr(f"archive/data/{name}", content)
    return file.getvalue()


def _tensor(key: str, count: int, size: tuple[int, ...], stride: tuple[int, ...], at: int) -> bytes:
    """The pickle of one tensor, described as told."""
    out = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
    name = key.encode()
    out += b"X" + struct.pack("<I", len(name)) + name + b"X\3\0\0\0cpuL%dL\ntQL%dL\n(" % (count, at)
    out += b"".join(b"L%dL\n" % n for n in size) + b"t("
    out += b"".join(b"L%dL\n" % n for n in stride) + b"t\x89}tR."
    return out


def hostile(rng: random.Random, mark: Path) -> bytes:
    """A file that someone made on purpose."""
    code = PAYLOAD.format(str(mark)).encode()
    text = b"X" + struct.pack("<I", len(code)) + code
    big = rng.choice([2**20, 2**31, 2**40, 2**62, 2**70])
    calls = [
        b"cbuiltins\nexec\n(" + text + b"tR.",
        b"cos\nsystem\n(X\x04\0\0\0truetR.",
        b"c__builtin__\neval\n(" + text + b"tR.",
        b"(" + text + b"ibuiltins\nexec\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93(" + text + b"tR.",
        b"ctorch._utils\n_rebuild_from_type_v2\n(cbuiltins\nexec\nctorch\nTensor\n("
        + text
        + b"t}tR.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(c_codecs\nencode\nctorch\nTensor\n)}tR.",
        b"ctorch.serialization\nload\n(X\x01\0\0\0xtR.",
        b"cflambeau.serialization\nload\n(X\x01\0\0\0xtR.",
        b"ccollections\nOrderedDict\n)R}X\x09\0\0\0__class__cbuiltins\nobject\nsb.",
        b"cnumpy\nload\n(X\x01\0\0\0xtR.",
        b"ctorch\nTensor\n(L%dL\ntR." % big,
        b"cbuiltins\nbytearray\n(L%dL\ntR." % big,
        b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0rottR.",
        b"B" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"\x8e" + struct.pack("<Q", min(big, 2**63)) + b"x.",
        b"\x96" + struct.pack("<Q", min(big, 2**63)) + b"x.",
        b"}r\xff\xff\xff\xffj\xff\xff\xff\xff.",
        b"}" + b")" + b"2\x86" * 64 + b"Ns.",  # a key whose hash takes 2 ** 64 steps
        b"]" + b"2\x86" * 200 + b".",
        b"(" * 1000 + b"l" * 999 + b".",
        b"I" + b"9" * 100_000 + b"\n.",
        b"ctorch\nSize\n(L%dL\ntR." % big,
        b"ctorch\ndevice\n(X\x04\0\0\0evil" + b"tR.",
        b"cbuiltins\nset\n(" + b")" + b"2\x86" * 64 + b"l\x85R.",
    ]
    tensors = [
        _tensor("0", 2, (rng.choice([3, big]),), (1,), 0),
        _tensor("0", 2, (2,), (rng.choice([-1, 2, big]),), 0),
        _tensor("0", 2, (2,), (1,), rng.choice([1, -1, big])),
        _tensor("0", rng.choice([3, -1, big]), (2,), (1,), 0),
        _tensor(rng.choice(["../0", "/etc/passwd", "1", "", "..\\0"]), 2, (2,), (1,), 0),
        _tensor("0", 2, (2, big), (0, 0), 0),
        _tensor("0", 2, (big, big), (0, 0), 0),
        _tensor("0", 2, (2,), (1, 1), 0),
    ]
    kind = rng.randrange(4)
    if kind == 0:
        return in_zip(rng.choice(calls))
    if kind == 1:
        return in_zip(rng.choice(tensors), {"0": b"\0" * 8})
    if kind == 2:
        head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
        return head + rng.choice(calls)
    if rng.random() < 0.5:
        return rng.choice(calls)
    zeros = bytes(rng.choice([1 << 10, 1 << 20]))
    bomb = in_zip(_tensor("0", 2**28, (2**28,), (1,), 0), {"0": zeros}, packed=True)
    # What the directory says of the size is a lie, too.
    return bomb.replace(struct.pack("<I", len(zeros)), struct.pack("<I", 2**30))


def mutated(rng: random.Random, originals: list[bytes], mark: Path) -> bytes:
    """A truncated, flipped, spliced, repeated or hostile file."""
    data = bytearray(rng.choice(originals))
    kind = rng.randrange(7)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)
    if kind == 2:  # the pickle itself, in an archive that is whole
        with zipfile.ZipFile(io.BytesIO(originals[0])) as archive:
            inner = bytearray(archive.read("archive/data.pkl"))
            names = [n for n in archive.namelist() if "/data/" in n]
            storages = {n.rpartition("/")[2]: archive.read(n) for n in names}
        for _ in range(rng.choice([1, 1, 2, 5])):
            inner[rng.randrange(len(inner))] = rng.randrange(256)
        return in_zip(bytes(inner), storages, packed=rng.random() < 0.2)
    if kind == 3:
        at, size = rng.randrange(len(data)), rng.randrange(1, 200)
        data[at : at + size] = b"" if rng.random() < 0.5 else rng.randbytes(size)
        return bytes(data)
    if kind == 4:
        other, at = rng.choice(originals), rng.randrange(len(data))
        return bytes(data[:at]) + other[rng.randrange(len(other)) :]
    if kind == 5:  # a number becomes an extreme one
        at = rng.randrange(len(data) - 8)
        data[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
        return bytes(data)
    return hostile(rng, mark)


def check(data: bytes, mark: Path) -> str:
    """Load; "loaded" or the error's name. AssertionError for another kind of error, or for harm."""
    try:
        value: Any = flambeau.load(io.BytesIO(data))
        outcome = "loaded"
        del value
    except FINE as error:
        assert str(error) or isinstance(error, EOFError), repr(error)
        outcome = type(error).__name__
    assert not mark.exists(), "the file ran code"
    return outcome


# ---- files that a killed process was writing -----------------------------------------------------

SAVER = """
import sys, flambeau
print("ready", flush=True)
number = 0
while True:
    number += 1
    flambeau.save({"number": number, "data": flambeau.full((200_000,), number)}, sys.argv[1])
"""


def kill_savers(count: int, folder: Path, rng: random.Random) -> int:
    """Kill so many processes while they save; the sum of what they said last.

    AssertionError where a file is not whole.
    """
    seen = 0
    for number in range(count):
        file = folder / f"{number}.pt"
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(file)],
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        limit = time.monotonic() + 60
        while not file.exists() and time.monotonic() < limit:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        value = flambeau.load(file)
        data = value["data"].numpy()
        assert data.min() == data.max() == value["number"]
        seen += value["number"]
    return seen
