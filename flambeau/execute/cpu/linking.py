"""Object files of x86-64, linked within themselves: from what LLVM emits to binaries.

Sections are laid out side by side, constants and code first, data in pages of their own. What one
refers to in another is then a fixed distance away. Imports are reached through words and jumps that
are added here, and that `binaries.Binaries` fills in.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flambeau.execute.cpu.binaries import ALIGNED, WORD, Binary
from flambeau.execute.cpu.code_memory import PAGE, whole_pages

# The ELF format: kinds of files, machines, sections and their flags, symbols.
RELOCATABLE, X86_64 = 1, 62
PROGBITS, SYMBOLS, RELOCATIONS, NOBITS = 1, 2, 4, 8
WRITABLE, ALLOCATED, THREAD_LOCAL = 1, 2, 1 << 10
UNDEFINED, RESERVED = 0, 0xFF00
LOCAL = 0
# Relocations: what is written is an address; a distance; the distance of a function, or of a word
# that has the address (in a `mov`, say, with or without the prefix REX).
ADDRESS, DISTANCE, CALL, LONG_DISTANCE = 1, 2, 4, 24
OF_WORD, OF_WORD_IN, OF_WORD_IN_REX = 9, 41, 42
OF_WORDS = OF_WORD, OF_WORD_IN, OF_WORD_IN_REX
MOV, LEA = 0x8B, 0x8D
JUMP, JUMP_BYTES = b"\xff\x25", 6  # to where a word says, which is so far behind the jump


class _Other(Exception):
    """The file has what binaries have not."""


def binary_of(code: bytes) -> Binary | None:
    """The binary of an object file; None where it has what binaries have not."""
    try:
        return _Linking(code).binary()
    except (_Other, struct.error, ValueError, IndexError):
        return None


@dataclass
class _Section:
    kind: int
    flags: int
    start: int  # in the file
    size: int
    link: int
    info: int
    align: int
    place: int = -1  # in the binary

    @property
    def part(self) -> bool:
        """Whether it is code or data (and no table for debuggers or exceptions)."""
        return self.kind in (PROGBITS, NOBITS) and bool(self.flags & ALLOCATED and self.size)


class _Symbol(NamedTuple):
    name: str
    binding: int
    section: int
    value: int


class _Relocation(NamedTuple):
    home: _Section
    offset: int
    kind: int
    symbol: _Symbol
    addend: int


class _Linking:
    """An object file on its way to an binary."""

    def __init__(self, code: bytes) -> None:
        self.file = code
        if code[:6] != b"\x7fELF\x02\x01":
            raise _Other
        kind, machine = struct.unpack_from("<HH", code, 16)
        if (kind, machine) != (RELOCATABLE, X86_64):
            raise _Other
        (table,) = struct.unpack_from("<Q", code, 40)
        size, count = struct.unpack_from("<HH", code, 58)
        rows = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * i) for i in range(count)]
        self.sections = [_Section(*row[1:3], *row[4:9]) for row in rows]
        self.symbols = self.read_symbols()
        self.relocations = self.read_relocations()
        self.words: dict[_Symbol, int] = {}  # places of words that have the address of a symbol
        self.jumps: dict[_Symbol, int] = {}  # and of jumps to it
        self.pointers: list[tuple[int, int]] = []
        self.memory = bytearray()

    def read_symbols(self) -> list[_Symbol]:
        (table,) = [section for section in self.sections if section.kind == SYMBOLS]
        names = self.sections[table.link].start
        found = []
        for at in range(table.start, table.start + table.size, 24):
            name, info, _, section, value = struct.unpack_from("<IBBHQ", self.file, at)
            end = self.file.index(b"\0", names + name)
            found.append(_Symbol(self.file[names + name : end].decode(), info >> 4, section, value))
        return found

    def read_relocations(self) -> list[_Relocation]:
        found = []
        for section in self.sections:
            home = self.sections[section.info] if section.kind == RELOCATIONS else section
            if section is home or not home.part:
                continue
            for at in range(section.start, section.start + section.size, 24):
                offset, info, addend = struct.unpack_from("<QQq", self.file, at)
                symbol = self.symbols[info >> 32]
                found.append(_Relocation(home, offset, info & 0xFFFFFFFF, symbol, addend))
        return found

    def binary(self) -> Binary:
        parts = [section for section in self.sections if section.part]
        constant = [s for s in parts if not s.flags & WRITABLE]
        filled = [s for s in parts if s.flags & WRITABLE and s.kind == PROGBITS]
        empty = [s for s in parts if s.flags & WRITABLE and s.kind == NOBITS]
        most = PAGE if filled or empty else ALIGNED
        if any(s.flags & THREAD_LOCAL or s.align > most for s in parts):
            raise _Other
        code_bytes = self.lay_out_words(self.lay_out(constant, 0))
        data_place = whole_pages(code_bytes)
        data_end = self.lay_out(filled, data_place)
        end = self.lay_out(empty, data_end)
        self.memory = bytearray(data_end)
        for section in constant + filled:
            if section.kind == PROGBITS:
                content = self.file[section.start : section.start + section.size]
                self.memory[section.place : section.place + section.size] = content
        for symbol, place in self.jumps.items():
            self.memory[place : place + len(JUMP)] = JUMP
            distance = self.words[symbol] - (place + JUMP_BYTES)
            struct.pack_into("<i", self.memory, place + len(JUMP), distance)
        for relocation in self.relocations:
            self.relocate(relocation)
        imports = [(s.name, place) for s, place in self.words.items() if s.section == UNDEFINED]
        inside = [(place, s) for s, place in self.words.items() if s.section != UNDEFINED]
        return Binary(
            bytes(self.memory[:code_bytes]),
            bytes(self.memory[data_place:]),
            end - data_place,
            {
                symbol.name: self.place(symbol)
                for symbol in self.symbols
                if symbol.binding != LOCAL and symbol.section != UNDEFINED
            },
            imports,
            self.pointers + [(place, self.place(symbol)) for place, symbol in inside],
        )

    def lay_out(self, sections: Sequence[_Section], end: int) -> int:
        """Gives places to sections from `end` on; where they end."""
        for section in sections:
            align = max(section.align, 1)
            section.place = -(-end // align) * align
            end = section.place + section.size
        return end

    def lay_out_words(self, end: int) -> int:
        """Gives places to the words that code looks into, and to jumps to imports."""
        end = -(-end // WORD) * WORD
        for relocation in self.relocations:
            symbol = relocation.symbol
            calls = relocation.kind == CALL and symbol.section == UNDEFINED
            if not calls and (relocation.kind not in OF_WORDS or self.is_direct(relocation)):
                continue
            if symbol not in self.words:
                self.words[symbol] = end
                end += WORD
            if calls and symbol not in self.jumps:
                self.jumps[symbol] = end
                end += WORD
        return end

    def is_direct(self, relocation: _Relocation) -> bool:
        """Whether a `mov` of an address from a word can be its computation, as linkers do it."""
        home, offset, kind, symbol, _ = relocation
        known = symbol.section != UNDEFINED and kind in (OF_WORD_IN, OF_WORD_IN_REX)
        return known and self.file[home.start + offset - 2] == MOV

    def place(self, symbol: _Symbol) -> int:
        """Where a symbol of the binary itself is."""
        if UNDEFINED < symbol.section < RESERVED:
            start = self.sections[symbol.section].place
            if start >= 0:
                return start + symbol.value
        raise _Other

    def relocate(self, relocation: _Relocation) -> None:
        home, offset, kind, symbol, addend = relocation
        at = home.place + offset
        if kind == ADDRESS:
            self.pointers.append((at, self.place(symbol) + addend))
            return
        if kind in OF_WORDS and not self.is_direct(relocation):
            target = self.words[symbol]
        elif kind == CALL and symbol.section == UNDEFINED:
            target = self.jumps[symbol]
        elif kind in (DISTANCE, CALL, LONG_DISTANCE, *OF_WORDS):
            target = self.place(symbol)
        else:
            raise _Other
        if kind in OF_WORDS and self.is_direct(relocation):
            self.memory[at - 2] = LEA
        form = "<q" if kind == LONG_DISTANCE else "<i"
        struct.pack_into(form, self.memory, at, target + addend - at)
