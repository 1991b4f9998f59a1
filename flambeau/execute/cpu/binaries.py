"""Object code as binaries: machine code that is linked but for the addresses of its imports.

An object file of x86-64 is linked within itself once, when it is compiled (`linking.binary_of`).
What lies on the disk then only has to be copied into memory, which needs no LLVM (`Binaries`). The
code finds what it imports through words of the binary; its own data are in the pages behind it.
"""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flambeau.execute.cpu.code_memory import CodeMemory, whole_pages

MAGIC = b"FLBINAR1"
WORD = 8
ALIGNED = 64  # where binaries without data may begin
_LENGTH = struct.Struct("<I")


class Binary(NamedTuple):
    """The code with its constants, and behind its pages the data: `data`, then zeros up to
    `data_bytes`. Places are bytes from the begin of the code.
    """

    code: bytes
    data: bytes
    data_bytes: int
    exports: dict[str, int]
    imports: list[tuple[str, int]]
    """Names, and the places of the words that must have their addresses."""
    pointers: list[tuple[int, int]]
    """Places of words that must have the address of another place."""

    @property
    def data_place(self) -> int:
        return whole_pages(len(self.code)) if self.data_bytes else len(self.code)

    @property
    def nbytes(self) -> int:
        return self.data_place + self.data_bytes

    def packed(self) -> bytes:
        """As it lies on the disk."""
        head = json.dumps([len(self.code), *self[2:]]).encode()
        return b"".join([MAGIC, _LENGTH.pack(len(head)), head, self.code, self.data])


def is_binary(payload: bytes) -> bool:
    return payload.startswith(MAGIC)


def unpacked(payload: bytes) -> Binary:
    """The binary that lies on the disk so. Raises RuntimeError for what is none."""
    start = len(MAGIC) + _LENGTH.size
    try:
        if not is_binary(payload):
            raise ValueError("another format")
        (length,) = _LENGTH.unpack_from(payload, len(MAGIC))
        code_bytes, *says = json.loads(payload[start : start + length])
        parts = payload[start + length :]
        found = Binary(parts[:code_bytes], parts[code_bytes:], *says)
        words = [place for _, place in found.imports] + [place for place, _ in found.pointers]
        places = [*found.exports.values(), *(place for _, place in found.pointers)]
        whole = len(found.code) == code_bytes and len(found.data) <= found.data_bytes
        within = all(0 <= p <= found.nbytes - WORD for p in words)
        if not (whole and within and all(0 <= p < found.nbytes for p in places)):
            raise ValueError("places outside of it")
    except (struct.error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise RuntimeError(f"no binary of machine code: {error}") from None
    return found


class Binaries:
    """Binaries in memory; `address_of` says where the imports are (None: nowhere)."""

    def __init__(self, address_of: Callable[[str], int | None]) -> None:
        self.address_of = address_of
        self.memory = CodeMemory()

    def link(self, binaries: Sequence[Binary]) -> dict[str, int]:
        """The addresses of all that the binaries export. RuntimeError where an import is nowhere;
        OSError where there is no memory for code.
        """
        plain = [binary for binary in binaries if not binary.data_bytes]
        found = self._side_by_side(plain)
        for binary in binaries:
            if binary.data_bytes:  # what is behind its code is not executable
                found |= self._side_by_side([binary])
        return found

    def _side_by_side(self, binaries: Sequence[Binary]) -> dict[str, int]:
        """As `link`, of a single one, or of some without data."""
        places, end = [], 0
        for binary in binaries:
            places.append(-(-end // ALIGNED) * ALIGNED)
            end = places[-1] + binary.nbytes
        names = {name for binary in binaries for name, _ in binary.imports}
        addresses = {name: self._address(name) for name in names}
        start, code_end = self.memory.reserve(end), 0
        found: dict[str, int] = {}
        for binary, place in zip(binaries, places, strict=True):
            at, code_end = start + place, place + len(binary.code)
            found |= {name: at + where for name, where in binary.exports.items()}
            ctypes.memmove(at, binary.code, len(binary.code))
            ctypes.memmove(at + binary.data_place, binary.data, len(binary.data))
            words = [(where, addresses[name]) for name, where in binary.imports]
            words += [(where, at + target) for where, target in binary.pointers]
            for where, content in words:
                ctypes.c_uint64.from_address(at + where).value = content
        if binaries:
            self.memory.make_executable(start, code_end)
        return found

    def _address(self, name: str) -> int:
        address = self.address_of(name)
        if address is None:
            raise RuntimeError(f"the code uses {name}, which is nowhere")
        return address
