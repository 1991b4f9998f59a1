"""What LLVM says of this machine; from the disk, where an earlier process has asked it.

LLVM asks the CPU, so what it says is kept by what the CPU answers, and by what tells one LLVM from
another. Whoever finds it there need not load LLVM.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from flambeau.core import settings
from flambeau.execute.cpu import code_memory
from flambeau.execute.cpu.objects import FORMAT, default_cache
from flambeau.execute.cpu.target import Target, binding

# void ask(uint32_t (*rows)[4], int64_t count): of each row the first two words are what `cpuid`
# is asked; all four are what it answers, in the order of the registers eax, ebx, ecx, edx.
ASK = bytes.fromhex(
    "53"  # push rbx
    "8b07"  # again: mov eax, [rdi]
    "8b4f04"  # mov ecx, [rdi + 4]
    "0fa2"  # cpuid
    "8907"  # mov [rdi], eax
    "895f04"  # mov [rdi + 4], ebx
    "894f08"  # mov [rdi + 8], ecx
    "89570c"  # mov [rdi + 12], edx
    "4883c710"  # add rdi, 16
    "48ffce"  # dec rsi
    "75e5"  # jnz again
    "5b"  # pop rbx
    "c3"  # ret
)
# uint64_t enabled(void): what the system lets processes use, where `cpuid` says that this can be
# asked.
ENABLED = bytes.fromhex(
    "31c9"  # xor ecx, ecx
    "0f01d0"  # xgetbv
    "48c1e220"  # shl rdx, 32
    "4809d0"  # or rax, rdx
    "c3"  # ret
)
ENABLED_PLACE = 64
CAN_BE_ASKED = 1 << 27  # in ecx of leaf 1
ROW = 4
# Leaves and their parts that say what a CPU is and can do, and the registers that do not hang on
# which core is asked, or on what the system has switched on by now.
EXTENDED = 0x80000000
ALL = (0, 1, 2, 3)
LEAVES = {
    (0, 0): ALL,
    (1, 0): (0, 2, 3),
    (7, 0): ALL,
    (7, 1): ALL,
    (7, 2): ALL,
    (0xD, 1): (0,),
    (0x14, 0): ALL,
    (0x19, 0): ALL,
    (0x1E, 0): ALL,
    (0x1E, 1): ALL,
    (0x21, 0): ALL,
    (0x24, 0): ALL,
    (0x29, 0): ALL,
    (EXTENDED, 0): ALL,
    (EXTENDED + 1, 0): (0, 2, 3),
    (EXTENDED + 7, 0): (3,),
    (EXTENDED + 8, 0): (1,),
    (EXTENDED + 0x21, 0): (0,),
}
# How wide vectors of each of settings.CPU_CAPABILITIES are, and how LLVM's names of what is beyond
# them begin.
WIDTHS = {"avx512": 512, "avx2": 256, "default": 128}
BEYOND_AVX2 = ("amx", "avx512", "avx10", "evex512")
BEYOND_SSE = ("avx", "fma", "f16c", "xop", "vaes", "vpclmulqdq")


class Host(NamedTuple):
    """What LLVM says."""

    target: Target
    llvm_version: str
    """As "major.minor.patch"."""


@cache
def host() -> Host:
    """Of this machine, as far as FLAMBEAU_CPU_CAPABILITY lets it be used, once a process."""
    said, most = _said(), settings.cpu_capability()
    return said if most is None else said._replace(target=limited(said.target, most))


def limited(target: Target, most: str) -> Target:
    """An x86-64 machine without what goes beyond `most` (one of settings.CPU_CAPABILITIES)."""
    bits = min(target.vector_bits, WIDTHS[most])
    if not target.triple.startswith("x86_64") or bits == target.vector_bits:
        return target
    beyond = BEYOND_AVX2 if most == "avx2" else BEYOND_AVX2 + BEYOND_SSE
    features = [
        f"-{name[1:]}" if name.startswith("+") and name[1:].startswith(beyond) else name
        for name in target.features.split(",")
    ]
    said = f"{target.description}, {most.upper()} at most"
    return target._replace(features=",".join(features), vector_bits=bits, description=said)


def _said() -> Host:
    key, store = _key(), default_cache()
    if key is None or store is None:
        return _asked()
    payload = store.get(key)
    found = None if payload is None else _read(payload)
    if found is None:
        found = _asked()
        store.put(key, json.dumps([*_fields(found.target), found.llvm_version]).encode())
    return found


def _fields(target: Target) -> list[object]:
    return list(target)


def _read(payload: bytes) -> Host | None:
    try:
        *fields, version = json.loads(payload)
        found = Host(Target(*fields), version)
    except (ValueError, TypeError):
        return None
    kinds = [type(field) for field in (*_fields(found.target), version)]
    return found if kinds == [str, str, str, int, str, str] else None


def _asked() -> Host:
    llvm = binding()
    # Virtual machines report CPUs that no list knows: the name then only picks a scheduling model,
    # and the list, which also switches off what the hypervisor hides, rules.
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        bits = 512
    elif features.get("avx2"):
        bits = 256
    else:
        bits = 128
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    said = f"this machine ({cpu}, {bits}-bit vectors)"
    target = Target(triple, cpu, features.flatten(), bits, said)
    return Host(target, ".".join(str(part) for part in llvm.llvm_version_info))


def _key() -> bytes | None:
    """The 32 bytes by which it is kept; None where one of both cannot be told from others."""
    try:
        cpu, llvm = cpu_answers(), _which_llvm()
    except OSError:
        return None
    if cpu is None or llvm is None:
        return None
    return hashlib.sha256(b"\0".join([b"host", FORMAT, llvm, cpu])).digest()


def cpu_answers() -> bytes | None:
    """What the CPU says of itself, and what of it the system lets processes use; None where it is
    not one of x86-64. Raises OSError where no code can be run.
    """
    if not code_memory.available():
        return None
    memory = code_memory.CodeMemory(chunk=code_memory.PAGE)
    place = memory.reserve(code_memory.PAGE)
    ctypes.memmove(place, ASK, len(ASK))
    ctypes.memmove(place + ENABLED_PLACE, ENABLED, len(ENABLED))
    memory.make_executable(place, code_memory.PAGE)
    ask = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(place)
    highest = (ctypes.c_uint32 * (2 * ROW))(0, 0, 0, 0, EXTENDED)
    ask(ctypes.addressof(highest), 2)
    last = {0: highest[0], EXTENDED: highest[ROW]}
    asked = [leaf for leaf in LEAVES if leaf[0] <= last[leaf[0] & EXTENDED]]
    rows = (ctypes.c_uint32 * (ROW * len(asked)))()
    for number, leaf in enumerate(asked):
        rows[ROW * number : ROW * number + 2] = list(leaf)
    ask(ctypes.addressof(rows), len(asked))
    answers = [
        (leaf, [rows[ROW * number + register] for register in LEAVES[leaf]])
        for number, leaf in enumerate(asked)
    ]
    usable = 0
    if rows[ROW * asked.index((1, 0)) + 2] & CAN_BE_ASKED:
        usable = ctypes.CFUNCTYPE(ctypes.c_uint64)(place + ENABLED_PLACE)()
    return repr((answers, usable)).encode()


def _which_llvm() -> bytes | None:
    """What tells the installed llvmlite from others, without importing it; None where it is no
    plain package. OSError where its files are not there.
    """
    found = PathFinder.find_spec("llvmlite")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    status = (folder / "binding" / "libllvmlite.so").stat()
    version = (folder / "_version.py").read_bytes()
    return b"%d %d " % (status.st_size, status.st_mtime_ns) + version
