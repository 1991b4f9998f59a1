"""LLVM's linker, for object code that is no binary (`binaries`): of other machines and systems."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence

from flambeau.execute.cpu import software_float
from flambeau.execute.cpu.imports import system_symbol, system_symbols
from flambeau.execute.cpu.target import INNER_LOOP, Target, binding, compile_object, create_machine

SYSTEM_LIBRARY = "flambeau.system"
INNER_LOOPS = re.compile(re.escape(INNER_LOOP).encode() + rb"[\w.?]+")
FLOAT_LIBRARY = "flambeau.software_float"


class Jit:
    """The code that LLVM has linked in this process. One thread at a time."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._libraries = 0
        self._has_software_float = False
        self._jit = binding().create_lljit_compiler(create_machine(target), suppress_errors=True)
        builder = binding().JITLibraryBuilder()
        for name, address in system_symbols().items():
            builder.import_symbol(name, address)
        builder.link(self._jit, SYSTEM_LIBRARY).detach()
        # One reference too many: even at exit the code stays, for daemon threads may still run it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._jit))

    def link(self, codes: Sequence[bytes], names: Sequence[str]) -> dict[str, int]:
        """The addresses of names in object files. Raises RuntimeError where LLVM refuses them."""
        self._libraries += 1
        builder = binding().JITLibraryBuilder()
        builder.add_jit_library(SYSTEM_LIBRARY)
        for name in {name for code in codes for name in INNER_LOOPS.findall(code)}:
            address = system_symbol(name.decode())
            if address is not None:
                builder.import_symbol(name.decode(), address)
        if any(marker in code for code in codes for marker in software_float.MARKERS):
            self._load_software_float()
            builder.add_jit_library(FLOAT_LIBRARY)
        for code in codes:
            builder.add_object_img(code)
        for name in names:
            builder.export_symbol(name)
        tracker = builder.link(self._jit, f"flambeau.{self._libraries}")
        found = {name: int(tracker[name]) for name in names}
        tracker.detach()  # Never unloaded: programs hold bare addresses.
        return found

    def _load_software_float(self) -> None:
        if self._has_software_float:
            return
        code = compile_object(software_float.TEXT, self.target)
        builder = binding().JITLibraryBuilder()
        builder.add_object_img(code)
        builder.add_jit_library(SYSTEM_LIBRARY)
        for symbol in software_float.SYMBOLS:
            builder.export_symbol(symbol)
        builder.link(self._jit, FLOAT_LIBRARY).detach()
        self._has_software_float = True
