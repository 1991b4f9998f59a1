"""Checks that a program is well formed: what every pass may rely on. On in tests."""

from __future__ import annotations

from flambeau.graph.program import Program
from flambeau.ops.value import Value


class ProgramError(AssertionError):
    """A pass (or whoever made the program) broke an invariant; the message names the value."""


def verify(program: Program) -> None:
    """Checks shapes, dtypes and operand order of every value, and the inputs and outputs.

    Raises ProgramError for the first value that breaks a rule.
    """
    seen: set[Value] = set()
    for v in program.nodes():
        for operand in v.inputs:
            if operand not in seen:
                raise ProgramError(f"{v!r} comes before its operand {operand!r}")
        seen.add(v)
        if v.primitive.name == "input":
            _verify_input(program, v)
            continue
        _verify_rule(v)
    _verify_outputs(program)


def _verify_rule(v: Value) -> None:
    try:
        shape, dtype = v.primitive.rule(*v.inputs, **v.attrs)
    except (AssertionError, RuntimeError, NotImplementedError, KeyError) as error:
        raise ProgramError(f"{v!r} is refused by its own rule: {error}") from error
    if tuple(shape) != v.shape or dtype is not v.dtype:
        raise ProgramError(f"{v!r} should be {dtype.name}{list(shape)}")
    if any(extent < 0 for extent in v.shape):
        raise ProgramError(f"{v!r} has a negative extent")
    if v.primitive.name in ("as_strided", "strided_scatter"):
        _verify_layout(v)


def _verify_layout(v: Value) -> None:
    """A layout must lie within the flat operand."""
    shape = v.shape if v.primitive.name == "as_strided" else v.inputs[1].shape
    if 0 in shape:
        return
    low = high = v.attrs["offset"]
    for extent, stride in zip(shape, v.attrs["strides"], strict=True):
        reach = (extent - 1) * stride
        low, high = low + min(reach, 0), high + max(reach, 0)
    if low < 0 or high >= v.inputs[0].size:
        raise ProgramError(f"{v!r} reaches elements {low} to {high} of {v.inputs[0].size}")


def _verify_input(program: Program, v: Value) -> None:
    role, index = v.attrs["role"], v.attrs["index"]
    if role == "base":
        known = 0 <= index < len(program.bases) and v.ndim == 1
        # A base that an alias has widened (`Trace._widen`) may be read as it was known before.
        dtype, extent = program.bases[index] if known else (None, 0)
        expected = dtype is v.dtype and v.size <= extent
    elif role == "scalar":
        known = 0 <= index < len(program.scalars)
        expected = known and program.scalars[index] is v.dtype and v.ndim == 0
    else:
        raise ProgramError(f"{v!r} has the unknown role {role!r}")
    if not expected:
        raise ProgramError(f"{v!r} does not match the program's {role} {index}")


def _verify_outputs(program: Program) -> None:
    written: set[int] = set()
    for update in program.updates:
        dtype, extent = program.bases[update.base]
        if update.value.dtype is not dtype or update.value.shape != (extent,):
            raise ProgramError(
                f"base {update.base} ({dtype.name}[{extent}]) takes {update.value!r}"
            )
        if update.base in written:
            raise ProgramError(f"base {update.base} is updated twice")
        written.add(update.base)
