"""The machines that kernels are compiled for, and the compilation of LLVM text to object code.

LLVM (llvmlite) is imported and initialised by the first call that needs it, not with this module.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flambeau.core import settings
from flambeau.execute.cpu import bounds

DEFINE = re.compile(r"^(define [^\n]*?)[ \t]*\{[ \t]*$", re.MULTILINE)
SHOWN_LINES = 12

# The only names that a module may leave to the system: what LLVM itself emits for intrinsics, and
# log1p, whose bits random draws have from there.
MEMORY_FUNCTIONS = ("memcpy", "memmove", "memset", "bcmp", "memcmp")
MATH_FUNCTIONS = tuple(
    (
        "acos asin atan atan2 ceil cos cosh exp exp10 exp2 fabs floor fma fmax fmaximum fmin "
        "fminimum fmod frexp ldexp llrint llround log log10 log1p log2 lrint lround modf nearbyint "
        "pow rint round roundeven sin sincos sinh sqrt tan tanh trunc"
    ).split()
)
SYSTEM_FUNCTIONS = (*MEMORY_FUNCTIONS, *MATH_FUNCTIONS, *(f"{name}f" for name in MATH_FUNCTIONS))

KNOWN_NAMES = (*SYSTEM_FUNCTIONS, bounds.NAME)
INNER_LOOP = "numpy.loop."  # and which: words that say where one of NumPy's inner loops is


class KernelCompileError(RuntimeError):
    """LLVM refused a kernel's text: a defect of the code generator, not of the user's program.

    The message holds LLVM's own words and the first lines of the module.
    """


class NoRoomForCode(RuntimeError):
    """The process has nearly as many memory mappings as the system allows it."""


class Target(NamedTuple):
    """A machine to compile for: LLVM triple, CPU name, feature list, and vector width in bits."""

    triple: str
    cpu: str
    features: str
    vector_bits: int
    description: str

    @staticmethod
    def host() -> Target:
        """The machine this process runs on (found once per process)."""
        from flambeau.execute.cpu.host import host

        return host().target

    def has(self, feature: str) -> bool:
        """Whether the feature list switches `feature` on ("avx512bf16", "fma", ...)."""
        return f"+{feature}" in self.features.split(",")


SSE2 = Target("x86_64-unknown-linux-gnu", "x86-64", "+sse2", 128, "x86-64 baseline (SSE2)")
AVX2 = Target(
    "x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma,+f16c", 256, "x86-64 with AVX2 and FMA"
)
AVX512 = Target(
    "x86_64-unknown-linux-gnu",
    "skylake-avx512",
    "+avx512f,+avx512bw,+avx512dq,+avx512vl,+fma,+f16c",
    512,
    "x86-64 with AVX-512 (F, BW, DQ, VL)",
)
NEON = Target("aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", 128, "AArch64 with NEON")
TARGETS = {"sse2": SSE2, "avx2": AVX2, "avx512": AVX512, "neon": NEON}


@cache
def binding() -> Any:
    """`llvmlite.binding`, with code generation for this machine initialised."""
    llvm = importlib.import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


class _Fork:
    """llvmlite's lock during a fork: the child must not inherit it locked by another thread."""

    held: Any = None

    @classmethod
    def hold(cls) -> None:
        if binding.cache_info().currsize:
            ffi = importlib.import_module("llvmlite.binding.ffi")
            cls.held = getattr(ffi.lib, "_lock", None)
            if cls.held is not None:
                cls.held.__enter__()

    @classmethod
    def let_go(cls) -> None:
        if cls.held is not None:
            cls.held.__exit__(None, None, None)
            cls.held = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_Fork.hold, after_in_parent=_Fork.let_go, after_in_child=_Fork.let_go
    )


def llvm_version() -> str:
    """LLVM's version, as "major.minor.patch"."""
    from flambeau.execute.cpu.host import host

    return host().llvm_version


@cache
def has_matrix_unit() -> bool:
    """Whether this process may use the matrix unit: the CPU, the system and the user allow it."""
    if not settings.matrix_unit_wanted() or sys.platform != "linux":
        return False
    if platform.machine() != "x86_64":
        return False
    target = Target.host()
    if not all(target.has(f) for f in ("amx-tile", "amx-bf16")):
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    system = ctypes.CDLL(None, use_errno=True)
    return int(system.syscall(arch_prctl, request_permission, tile_data)) == 0


@cache
def has_half_units(vector_bits: int) -> bool:
    """Whether the units of this CPU compute a vector of so many bits in two halves."""
    return vector_bits == 512 and Target.host().cpu == "znver4"


@cache
def _initialise_all_targets() -> None:
    llvm = binding()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


class _Machines(threading.local):
    """A thread's target machines: LLVM does not let two threads share one."""

    def __init__(self) -> None:
        self.by_target: dict[Target, Any] = {}

    def get(self, target: Target) -> Any:
        machine = self.by_target.get(target)
        if machine is None:
            machine = create_machine(target)
            self.by_target[target] = machine
        return machine


_machines = _Machines()


def create_machine(target: Target) -> Any:
    """A new llvmlite TargetMachine for position-independent code of `target`.

    At its level 1 LLVM does not schedule instructions a second time, after they have registers: on
    AMD's processors that took up to half of a large kernel's time, and no kernel was faster for it.
    """
    llvm = binding()
    if target != Target.host():
        _initialise_all_targets()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=1, reloc="pic", codemodel="small"
    )


class _Unlocked(NamedTuple):
    """The two slow entry points of libllvmlite, called without llvmlite's process-wide lock.

    LLVM compiles in parallel as long as no two threads share a context or target machine, which
    `compile_object` guarantees; under llvmlite's lock, threads would only take turns.
    """

    run_function_passes: Callable[..., Any]
    emit: Callable[..., Any]


@cache
def _unlocked() -> _Unlocked | None:
    ffi = importlib.import_module("llvmlite.binding.ffi")
    entries = []
    try:
        library = ctypes.CDLL(ffi.lib._name)
        for name in ("LLVMPY_RunNewFunctionPassManager", "LLVMPY_TargetMachineEmitToMemory"):
            locked, entry = getattr(ffi.lib, name), getattr(library, name)
            entry.argtypes, entry.restype = locked.argtypes, locked.restype
            entries.append(entry)
    except (AttributeError, OSError):
        return None  # Another llvmlite inside: its public (serialised) calls do.
    return _Unlocked(*entries)


def compile_object(text: str, target: Target, suffix: str = "") -> bytes:
    """Compiles an LLVM module's text to a relocatable object file for `target`.

    `suffix` is appended to the names of all that the module exports.

    The text is taken to be vectorised already: neither the loop nor the SLP vectoriser runs, loops
    are not unrolled, and the only fused multiply-adds are explicit `llvm.fma`. Of a module's
    functions, those marked `alwaysinline` are inlined, no others.
    Raises KernelCompileError when LLVM does not accept the text. Any thread may call it.
    """
    code: bytes = _compiled(text, target, suffix, _emit)
    return code


def assembly(text: str, target: Target) -> str:
    """The assembly that `compile_object` would make object code of. Raises KernelCompileError."""
    found: str = _compiled(text, target, "", lambda machine, module: machine.emit_assembly(module))
    return found


def _compiled(text: str, target: Target, suffix: str, emit: Callable[[Any, Any], Any]) -> Any:
    """What `emit(machine, module)` gives of the module after all passes."""
    llvm = binding()
    machine = _machines.get(target)
    # Both are closed here, in this order: left to the garbage collector, which knows none, the
    # module could outlive its context.
    with llvm.create_context() as context:
        try:
            module = llvm.parse_assembly(with_function_attributes(text, target), context)
        except RuntimeError as error:
            raise KernelCompileError(complaint(text, str(error))) from None
        with module:
            try:
                module.verify()
                _check_names(module)
            except RuntimeError as error:
                raise KernelCompileError(complaint(text, str(error))) from None
            module.triple = target.triple
            module.data_layout = str(machine.target_data)
            if suffix:
                _append_to_names(llvm, module, suffix)
            _optimise(llvm, module, machine)
            return emit(machine, module)


def _append_to_names(llvm: Any, module: Any, suffix: str) -> None:
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.linkage == llvm.Linkage.external:
            value.name += suffix


def _check_names(module: Any) -> None:
    """Raises RuntimeError for a name that neither the module nor the system defines."""
    declared = [f.name for f in module.functions if f.is_declaration]
    declared += [v.name for v in module.global_variables if v.is_declaration]
    for name in declared:
        if not name.startswith(("llvm.", INNER_LOOP)) and name not in KNOWN_NAMES:
            raise RuntimeError(f"the module uses @{name} but does not define it")


def with_function_attributes(text: str, target: Target) -> str:
    """`text` with every function marked `nounwind` and with the vector width to use.

    LLVM otherwise keeps to 256 bits on many AVX-512 machines.
    """
    attributes = f'nounwind "prefer-vector-width"="{target.vector_bits}"'
    return DEFINE.sub(lambda match: f"{match[1]} {attributes} {{", text)


def _optimise(llvm: Any, module: Any, machine: Any) -> None:
    """Runs the passes; see Note [Pass pipeline]."""
    options = llvm.create_pipeline_tuning_options(1)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = False
    options.loop_interleaving = False
    builder = llvm.create_pass_builder(machine, options)
    functions = [f for f in module.functions if not f.is_declaration]
    if len(functions) > 1:
        inliner = llvm.create_new_module_pass_manager()
        inliner.add_always_inliner_pass()
        inliner.add_global_dead_code_eliminate_pass()
        inliner.run(module, builder)
        functions = [f for f in module.functions if not f.is_declaration]
    passes = builder.getFunctionPassManager()
    unlocked = _unlocked()
    for function in functions:
        if unlocked is None:
            passes.run(function, builder)
        else:
            unlocked.run_function_passes(passes, function, builder)


# Note [Pass pipeline]
# The emitter writes vector code with explicit tiles, so the module needs tidying, not reshaping:
# scalar promotion, common subexpressions, loop-invariant motion, rotation, instruction combining.
# LLVM's level-1 function simplification pipeline has these. On a 14x32 matrix-product kernel and on
# a polynomial elementwise kernel it gave the same machine code length as the whole level-2 pipeline
# in about half the time of its passes; code generation takes the larger rest at any level.


def _emit(machine: Any, module: Any) -> bytes:
    unlocked = _unlocked()
    if unlocked is None:
        return bytes(machine.emit_object(module))
    ffi = importlib.import_module("llvmlite.binding.ffi")
    with ffi.OutputString() as complaint:
        buffer = unlocked.emit(machine, module, 1, complaint)
        if not buffer:
            raise KernelCompileError(str(complaint))
    try:
        size = ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def complaint(text: str, reason: str) -> str:
    """The message of a KernelCompileError about a module's text."""
    lines = text.splitlines()
    shown = "\n".join(f"  {line}" for line in lines[:SHOWN_LINES])
    more = f"\n  ... ({len(lines) - SHOWN_LINES} more lines)" if len(lines) > SHOWN_LINES else ""
    return f"LLVM refused a kernel: {reason.strip()}\nThe module's first lines:\n{shown}{more}"
