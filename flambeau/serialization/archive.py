"""PyTorch's zip files: members stored as they are, each starting at a multiple of 64 bytes.

The writer never seeks, so that any file object will do. The reader takes the places of the members
from the standard library's zipfile and reads their bytes itself, straight to where they belong.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Any

from flambeau.serialization.options import SETTINGS

ALIGNMENT = 64
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LIMIT = 0xFFFFFFFF
# 1980-01-01, the first date a zip file knows: equal data make equal files.
_DATE = 0x21
_UTF8 = 0x800
# A file's compressed members may expand so much (bytes, and times their size) before it counts
# as a trap; zlib's best is about 1030 times.
_BOMB_BYTES, _BOMB_TIMES = 64 << 20, 200


class ZipWriter:
    """Writes the members of an archive one after the other; `close` completes it."""

    def __init__(self, file: IO[bytes], folder: str) -> None:
        self._file = file
        self._folder = folder
        self._at = 0
        self._entries: list[tuple[bytes, int, int, int]] = []

    def _put(self, data: Any) -> None:
        self._file.write(data)
        self._at += len(data)

    def add(self, name: str, data: Any) -> None:
        """Write a member: `data` are bytes or a flat byte view."""
        full = f"{self._folder}/{name}".encode()
        size = len(data)
        check = zlib.crc32(data) if SETTINGS.crc32 else 0
        start, large = self._at, size >= _LIMIT
        extra = struct.pack("<2H2Q", 1, 16, size, size) if large else b""
        # The padding is an extra field too: "FB", its size, and that many bytes.
        room = -(start + _LOCAL.size + len(full) + len(extra) + 4) % ALIGNMENT
        extra += struct.pack("<2sH", b"FB", room) + b"Z" * room
        shown = _LIMIT if large else size
        version = 45 if large else 20
        fields = (version, _UTF8, 0, 0, _DATE, check, shown, shown, len(full), len(extra))
        self._put(_LOCAL.pack(b"PK\x03\x04", *fields) + full + extra)
        self._put(data)
        self._entries.append((full, check, size, start))

    def close(self) -> None:
        """Write the directory."""
        start = self._at
        for name, check, size, place in self._entries:
            wide = [n for n in (size, size, place) if n >= _LIMIT]
            extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
            shown = min(size, _LIMIT)
            fields = (45, 45, _UTF8, 0, 0, _DATE, check, shown, shown, len(name), len(extra))
            ending = (0, 0, 0, 0, min(place, _LIMIT))
            self._put(_CENTRAL.pack(b"PK\x01\x02", *fields, *ending) + name + extra)
        size, count = self._at - start, len(self._entries)
        if start >= _LIMIT or size >= _LIMIT or count >= 0xFFFF:
            end = self._at
            record = struct.pack(
                "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *[count] * 2, size, start
            )
            self._put(record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1))
        few = min(count, 0xFFFF)
        last = (0, 0, few, few, min(size, _LIMIT), min(start, _LIMIT), 0)
        self._put(struct.pack("<4s4H2LH", b"PK\x05\x06", *last))


class ZipReader:
    """The members of an archive that `save`, here or in PyTorch, wrote. RuntimeError: damaged."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        try:
            entries = zipfile.ZipFile(file).infolist()
        except Exception as error:  # zipfile has many ways to say that a file is none
            raise damaged("failed finding central directory") from error
        self._entries = {entry.filename: entry for entry in entries}
        if not entries or len(self._entries) != len(entries):
            raise damaged("it has no members, or two of one name")
        if sum(entry.compress_size for entry in entries) > size:
            raise damaged("its members overlap")
        folder, slash, _ = entries[0].filename.partition("/")
        if not slash:
            raise RuntimeError(f"file in archive is not in a subdirectory: {folder}")
        self.folder = folder
        packed = [e for e in entries if e.compress_type != zipfile.ZIP_STORED]
        whole = sum(entry.file_size for entry in packed)
        if whole > max(_BOMB_BYTES, _BOMB_TIMES * sum(entry.compress_size for entry in packed)):
            raise damaged(f"its compressed members expand to {whole} bytes")

    def __contains__(self, name: str) -> bool:
        return f"{self.folder}/{name}" in self._entries

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(f"{self.folder}/{name}")
        if entry is None:
            raise damaged(f"file not found: {self.folder}/{name}")
        if entry.flag_bits & 1 or entry.compress_type not in (0, 8):
            raise damaged(f"member {name} is encrypted or packed in an unknown way")
        return entry

    def size(self, name: str) -> int:
        """How many bytes a member has, as the directory says."""
        return self._entry(name).file_size

    def place(self, name: str) -> int | None:
        """Where in the file a member's bytes begin; None where they are compressed."""
        entry = self._entry(name)
        if entry.header_offset < 0:
            raise damaged(f"member {name} has no header")
        self._file.seek(entry.header_offset)
        header = self._file.read(_LOCAL.size)
        if len(header) != _LOCAL.size or header[:4] != b"PK\x03\x04":
            raise damaged(f"member {name} has no header")
        names, extras = struct.unpack_from("<2H", header, 26)
        start = entry.header_offset + _LOCAL.size + names + extras
        if start + entry.compress_size > self._size:
            raise damaged(f"member {name} reaches beyond the file")
        if entry.compress_type != zipfile.ZIP_STORED:
            return None
        if entry.compress_size != entry.file_size:
            raise damaged(f"member {name} has two sizes")
        return int(start)

    def read_into(self, name: str, memory: Any) -> None:
        """Fill `memory`, a flat byte array of the member's size."""
        start = self.place(name)
        if start is None:
            memory[:] = memoryview(self._inflated(name))
            return
        self._file.seek(start)
        view = memoryview(memory)
        into = getattr(self._file, "readinto", None)
        done = 0
        while done < len(view):
            if into is not None:
                count = into(view[done : done + (1 << 30)])
            else:
                part = self._file.read(min(len(view) - done, 1 << 26))
                count = len(part)
                view[done : done + count] = part
            if not count:
                raise damaged(f"member {name} ends early")
            done += count

    def _inflated(self, name: str) -> bytes:
        """A compressed member, of exactly the size that the directory says."""
        entry = self._entry(name)
        header_end = entry.header_offset + 26
        self._file.seek(header_end)
        names, extras = struct.unpack("<2H", self._file.read(4))
        self._file.seek(header_end + 4 + names + extras)
        unpacker = zlib.decompressobj(-15)
        try:
            # At most one byte too many is made, whatever the member would expand to.
            data = unpacker.decompress(self._file.read(entry.compress_size), entry.file_size + 1)
        except zlib.error as error:
            raise damaged(f"member {name}: {error}") from error
        if len(data) != entry.file_size:
            raise damaged(f"member {name} has not the size that the file says")
        return data

    def read(self, name: str) -> bytes:
        """A whole small member, its checksum compared."""
        entry = self._entry(name)
        start = self.place(name)
        if start is None:
            data = self._inflated(name)
        else:
            self._file.seek(start)
            data = self._file.read(entry.file_size)
        if len(data) != entry.file_size or (entry.CRC and zlib.crc32(data) != entry.CRC):
            raise damaged(f"member {name} fails its checksum")
        return data


def damaged(what: str) -> RuntimeError:
    """PyTorch's error for archives that cannot be read."""
    return RuntimeError(
        f"PytorchStreamReader failed reading zip archive: {what}. The checkpoint file is "
        "corrupted: it was not saved or transferred completely, or modified after saving."
    )
