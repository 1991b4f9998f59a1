"""The CPU compiler's vector math functions against NumPy, PyTorch and 50-digit values, in ulp."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flambeau.execute.cpu import math_functions, math_gates
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Type
from flambeau.execute.cpu.math_functions import FUNCTIONS

llvm = pytest.importorskip("llvmlite.binding")
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

Array = np.ndarray[Any, Any]
DTYPES = {"float": np.float32, "double": np.float64}
EXTENDED = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
HOST_FUSES = llvm.get_host_cpu_features().get("fma", False)
# Emitter widths: 512 writes fused multiply-adds, 128 does not. (Fused without the instruction would
# be the C library's, correct too, but slow.)
VARIANTS = [(1, 512), (16, 512), (4, 128)] if HOST_FUSES else [(1, 128), (16, 128)]

SPECIAL = np.array(
    [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.0**24 - 1, 2.0**53 - 1, 2.0**53, 1e-310, 5e-324, 1e-40]
    + [1.4e-45, 1e38, 3.4e38, 1e300, 1.7e308, 709.7, 710.1, 710.4, 745.1, 745.2, 88.7, 88.73]
    + [103.9, 104.0, 87.5, 1.5707963267948966, 3.141592653589793, np.inf, np.nan]
)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL])


# ---- running a function --------------------------------------------------------------------------


def module_text(name: str, element: str, lanes: int, width: int, arguments: int) -> str:
    """A module whose @k(inputs..., output, count) applies the function to arrays."""
    e = Emitter(width)
    type_ = Type(element, lanes)
    parameters = [(f"p{i}", PTR) for i in range(arguments + 1)]
    with e.function("k", "void", [*parameters, ("count", I64)]) as registers:
        *inputs, output, count = registers
        with e.loop(e.i64(0), count, lanes) as loop:
            loaded = [e.load(e.gep(p, element, loop.index), type_) for p in inputs]
            result = FUNCTIONS[name](e, *loaded)
            assert result.type == type_
            e.store(e.gep(output, element, loop.index), result)
        e.line("ret void")
    return e.module()


@functools.cache
def compiled(name: str, element: str, lanes: int, width: int, arguments: int) -> tuple[Any, Any]:
    module = llvm.parse_assembly(module_text(name, element, lanes, width, arguments))
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=1,
        jit=True,
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    pointers = [ctypes.c_void_p] * (arguments + 1)
    kind = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)
    return engine, kind(engine.get_function_address("k"))


def run(name: str, lanes: int, width: int, *arrays: Array) -> Array:
    """The function over arrays of one dtype and length."""
    dtype, count = arrays[0].dtype, arrays[0].size
    element = "float" if dtype == np.float32 else "double"
    padded = -(-count // lanes) * lanes
    inputs = [np.resize(a, padded) for a in arrays]
    output = np.empty(padded, dtype)
    _, function = compiled(name, element, lanes, width, len(arrays))
    function(*(a.ctypes.data for a in inputs), output.ctypes.data, padded)
    return output[:count]


def errors_in_ulp(got: Array, exact: Array) -> Array:
    """Distance from the correctly rounded result in its units; infinite where the kind differs.

    Kinds: NaN, each infinity, each sign of zero.
    """
    with np.errstate(all="ignore"):
        rounded = np.asarray(exact).astype(got.dtype)
    finite = np.isfinite(rounded) & np.isfinite(got)
    unit = np.spacing(np.abs(np.where(finite, rounded, 1)).astype(got.dtype))
    wide = np.where(finite, rounded, 0).astype(np.longdouble)
    distance = np.abs(np.where(finite, got, 0).astype(np.longdouble) - wide) / unit
    same = np.where(np.isnan(rounded), np.isnan(got), got == rounded)
    zeros = (rounded == 0) & (got == 0)
    same = same & (~zeros | (np.signbit(rounded) == np.signbit(got)))
    return np.where(finite & ~zeros, distance, np.where(same, 0, np.inf))


def worst(name: str, got: Array, exact: Array, arrays: tuple[Array, ...]) -> tuple[float, str]:
    errors = errors_in_ulp(got, exact)
    at = int(np.argmax(errors))
    where = ", ".join(repr(a[at]) for a in arrays)
    return float(errors[at]), f"{name}({where}) = {got[at]!r}, not {exact[at]!r}"


# ---- samples and references ----------------------------------------------------------------------


def whole_range(dtype: type, count: int, seed: int) -> Array:
    """Special values, log-uniform numbers with subnormals, ranges where things happen."""
    rng = np.random.default_rng(seed)
    limits = np.finfo(dtype)
    low, high = math.log2(float(limits.tiny)) - 20, math.log2(float(limits.max)) - 1e-9
    sign = rng.choice([-1.0, 1.0], count)
    edge = 110.0 if dtype is np.float32 else 760.0
    quarter_turns = np.pi / 2 * rng.integers(1, 2**30, count)
    with np.errstate(over="ignore"):
        return np.concatenate(
            [
                SPECIAL,
                sign * np.exp2(rng.uniform(low, high, count)),
                rng.uniform(-5, 5, count),
                rng.uniform(-1, 1, count),
                rng.uniform(-edge, edge, count),
                1 + sign * np.exp2(rng.uniform(-50, 0, count)),
                quarter_turns,
                rng.uniform(-2e6, 2e6, count),
            ]
        ).astype(dtype)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


Reference = Callable[..., Array]
# name: reference (in longdouble), ulp for float32, for float64.
UNARY: dict[str, tuple[Reference, float, float]] = {
    "exp": (np.exp, 1, 1),
    "exp2": (np.exp2, 1, 1),
    "expm1": (np.expm1, 1, 1),
    "sigmoid": (sigmoid, 2, 2),
    "tanh": (np.tanh, 2, 2),
    "sinh": (np.sinh, 1, 2),
    "cosh": (np.cosh, 1, 2),
    "log": (np.log, 1, 1),
    "log1p": (np.log1p, 1, 1),
    "log2": (np.log2, 1, 1),
    "log10": (np.log10, 1, 1),
    "asinh": (np.arcsinh, 1, 1),
    "acosh": (np.arccosh, 1, 1),
    "atanh": (np.arctanh, 1, 1),
    "sin": (np.sin, 1, 1),
    "cos": (np.cos, 1, 1),
    "tan": (np.tan, 1, 2),
    "asin": (np.arcsin, 1, 1),
    "acos": (np.arccos, 1, 1),
    "atan": (np.arctan, 1, 1),
    "cbrt": (np.cbrt, 1, 1),
    "sqrt": (np.sqrt, 0, 0),
    "abs": (np.abs, 0, 0),
    "floor": (np.floor, 0, 0),
    "ceil": (np.ceil, 0, 0),
    "trunc": (np.trunc, 0, 0),
    "round_half_even": (np.rint, 0, 0),
}


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, element: str, lanes: int, width: int) -> None:
    reference, *bounds = UNARY[name]
    bound = bounds[element == "double"]
    if element == "double" and not EXTENDED and bound:
        pytest.skip("NumPy's longdouble is no wider than float64 here")
    x = whole_range(DTYPES[element], 4000, seed=lanes)
    with np.errstate(all="ignore"):
        # Correctly rounded functions: NumPy's in the same precision (no second rounding).
        exact = reference(x.astype(np.longdouble) if bound else x)
    error, message = worst(name, run(name, lanes, width, x), exact, (x,))
    assert error <= bound, f"{error} ulp: {message}"


# ---- two arguments -------------------------------------------------------------------------------


def pairs(name: str, dtype: type, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    a, b = whole_range(dtype, 800, seed), whole_range(dtype, 800, seed + 1)
    rng.shuffle(b)
    x = np.exp(rng.uniform(-3, 3, 4000))
    x[::2] = 1 + rng.uniform(-1e-2, 1e-2, 2000)
    if name == "pow":
        span = 100.0 if dtype is np.float32 else 740.0
        y = rng.uniform(-span, span, x.size) / np.maximum(np.abs(np.log(x)), 1e-9)
        y[::5] = np.round(y[::5])
    else:
        y = x * rng.uniform(-5, 5, x.size)
    grid = np.meshgrid(SPECIAL, SPECIAL)
    with np.errstate(over="ignore"):
        first: Array = np.concatenate([grid[0].ravel(), a, x]).astype(dtype)
        second: Array = np.concatenate([grid[1].ravel(), b, y]).astype(dtype)
    return first, second


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize(
    ("name", "reference", "bound"), [("pow", np.power, 1), ("atan2", np.arctan2, 1)]
)
def test_binary(
    name: str, reference: Reference, bound: float, element: str, lanes: int, width: int
) -> None:
    if element == "double" and not EXTENDED:
        pytest.skip("NumPy's longdouble is no wider than float64 here")
    x, y = pairs(name, DTYPES[element], seed=lanes)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.longdouble), y.astype(np.longdouble))
    error, message = worst(name, run(name, lanes, width, x, y), exact, (x, y))
    assert error <= bound, f"{error} ulp: {message}"


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
def test_fmod_is_exact(element: str, lanes: int, width: int) -> None:
    x, y = pairs("fmod", DTYPES[element], seed=lanes)
    with np.errstate(all="ignore"):
        exact = np.fmod(x, y)
    error, message = worst("fmod", run("fmod", lanes, width, x, y), exact, (x, y))
    assert error == 0, message


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
def test_fmod_of_what_is_nearly_a_multiple(element: str, lanes: int, width: int) -> None:
    rng = np.random.default_rng(lanes)
    dtype: Any = DTYPES[element]
    y = np.exp(rng.uniform(-40, 40, 6000)).astype(dtype)
    y[:50] = np.finfo(dtype).smallest_subnormal * np.arange(1, 51, dtype=dtype)
    times = np.floor(2.0 ** rng.uniform(0, 60 if element == "double" else 40, y.size))
    x = (times.astype(dtype) * y).astype(dtype)
    x = np.concatenate([x, np.nextafter(x, dtype(0)), np.nextafter(x, dtype(np.inf))])
    y = np.tile(y, 3)
    exact = np.fmod(x, y)
    error, message = worst("fmod", run("fmod", lanes, width, x, y), exact, (x, y))
    assert error == 0, message


# ---- special functions ---------------------------------------------------------------------------

# x and the correctly rounded float64 result, from 50 digits.
EXACT: dict[str, tuple[tuple[float, float], ...]] = {
    "erfc": (
        (15.50267306, 1.5306625915860956e-106),
        (23.12198643, 1.5913350755459379e-234),
        (19.71919933, 3.8190024529603254e-171),
        (4.30580132, 1.1338941433459596e-09),
        (6.40465598, 1.3341174066823691e-19),
        (22.45949647, 2.132418149599264e-221),
        (-1.85257147, 1.9912052620337741),
        (20.99439571, 1.0166572633251918e-193),
        (20.31794401, 1.4390398483427903e-181),
    ),
    "erfinv": (
        (-0.06413009431255845, -0.05689514770086093),
        (-0.39393514636137295, -0.3646540570296677),
        (-0.44314877579845335, -0.415442849518372),
        (-0.4902608246917508, -0.4661558159768382),
        (-0.10984738823470686, -0.09765929675597242),
        (0.9999987602233886, 3.4288826597062907),
        (0.9999999999984539, 4.999450376445786),
        (0.9999999999999999, 5.8635847487551676),
        (1e-09, 8.86226925452758e-10),
    ),
    "lgamma": (
        (10.09096518, 13.007092288073327),
        (11.06994704, 15.269142995881367),
        (19.91000567, 39.072761811433736),
        (15.85323838, 27.49769259333037),
        (12.44358459, 18.594276924163754),
        (1.0001, -5.771334222047127e-05),
        (1.9997, -0.00012680627667783915),
        (1e-07, 16.118095593236763),
        (12345.678, 103959.91990554606),
    ),
    "digamma": (
        (11.86752177, 2.431082333040876),
        (2.58370438, 0.7433955228748509),
        (1.92254441, 0.37157873895235116),
        (7.35047525, 1.9252026207757211),
        (0.5273041, -1.8347292175782424),
        (1.46, -0.0015805619870834522),
        (1e-05, -100000.57719921567),
        (77.7, 4.346406448064602),
        (1000000000.0, 20.723265836446412),
        (-0.75, -2.894120200042932),
        (-3.999, -998.4908138087342),
        (-500.2501, 9.355726692989913),
    ),
}


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("name", EXACT)
def test_special_functions_exact_values(name: str, lanes: int, width: int) -> None:
    x, exact = np.array(EXACT[name]).T.copy()
    error, message = worst(name, run(name, lanes, width, x), exact, (x,))
    assert error <= 3, f"{error} ulp: {message}"


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions(name: str, element: str, lanes: int, width: int) -> None:
    x = whole_range(DTYPES[element], 2000, seed=lanes)
    function = getattr(math, name)
    exact = np.array([function(float(v)) for v in x])
    error, message = worst(name, run(name, lanes, width, x), exact, (x,))
    bound = 1 if element == "float" else 3  # the C library's own error included
    assert error <= bound, f"{error} ulp: {message}"


@pytest.mark.parity
@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize("name", ["erfinv", "lgamma", "digamma"])
def test_special_functions_against_torch(name: str, element: str, lanes: int, width: int) -> None:
    torch = pytest.importorskip("torch")
    x = whole_range(DTYPES[element], 1000, seed=lanes)
    if name != "erfinv":
        # Not beside the poles of negative numbers, where PyTorch rounds pi x before its tangent.
        x = x[~((x < 0) & (np.abs(x - np.round(x)) < 0.05) & (x != np.round(x)))]
        x = x[~((x < -1e3) & np.isfinite(x))]
    got = run(name, lanes, width, x)
    exact = getattr(torch, name)(torch.from_numpy(x.astype(np.float64))).numpy()
    kinds = np.where(np.isfinite(exact.astype(x.dtype)), 0, exact.astype(x.dtype))
    np.testing.assert_array_equal(np.where(np.isfinite(got), 0, got), kinds)
    finite = np.isfinite(got)
    # At a negative argument rounding of sin(pi x) counts, as do these functions' zeros.
    tolerance = 2e-7 if element == "float" else 2e-14
    np.testing.assert_allclose(got[finite], exact[finite], rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parity
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("pow", "atan2", "fmod")])
def test_special_values_are_torchs(name: str, element: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -2.0], DTYPES[element])
    names = {"round_half_even": "round", "cbrt": None}
    function = names.get(name, name.removesuffix("_plus_one"))
    if function is None:
        pytest.skip("PyTorch has no such function")
    exact = getattr(torch, function)(torch.from_numpy(x)).numpy()
    exact = exact + 1 if name.endswith("_plus_one") else exact
    got = run(name, *VARIANTS[0], x)
    exact = np.where(np.isfinite(exact) & (exact != 0), got, exact)
    np.testing.assert_array_equal(got, exact)
    numbers = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(exact)[numbers])


@pytest.mark.parametrize(("lanes", "width"), VARIANTS)
@pytest.mark.parametrize("name", ["gate_sigmoid", "gate_tanh", "erf_plus_one", "tanh_plus_one"])
def test_gates_are_right_beside_one(name: str, lanes: int, width: int) -> None:
    x = np.concatenate([np.linspace(-12, 12, 4000), 10.0 ** np.linspace(-30, 30, 500)])
    x = np.concatenate([x, -x[-500:]]).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        for function in (math_gates.sigmoid, math_gates.tanh):
            emitted = math_functions._emitted(function)
            patch.setitem(FUNCTIONS, f"gate_{function.__name__}", emitted)
        got = run(name, lanes, width, x)
    wide = x.astype(np.float64)
    erf = np.array([math.erf(v) for v in wide])
    with np.errstate(over="ignore"):
        exact = {
            "gate_sigmoid": sigmoid(wide),
            "gate_tanh": np.tanh(wide),
            "erf_plus_one": erf + 1,
            "tanh_plus_one": np.tanh(wide) + 1,
        }[name]
    np.testing.assert_allclose(got, exact, rtol=0, atol=2.0**-21)
    if name != "gate_tanh":
        assert np.all(got[wide < -20] <= 2.0**-26)


# ---- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cpu", "width"), [("x86-64", 128), ("haswell", 256)])
@pytest.mark.parametrize("element", ["float", "double"])
def test_nothing_calls_the_c_library(cpu: str, width: int, element: str) -> None:
    try:
        target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM was not asked to write x86 code")
    machine = target.create_target_machine(cpu=cpu, opt=1, codemodel="small")
    for name in FUNCTIONS:
        arguments = 2 if name in ("pow", "atan2", "fmod") else 1
        text = module_text(name, element, 2, width, arguments)
        assembly = machine.emit_assembly(llvm.parse_assembly(text))
        calls = [line for line in assembly.splitlines() if line.strip().startswith("call")]
        assert all("reduce_huge" in call for call in calls), (name, calls)


def test_several_uses_share_a_module() -> None:
    e = Emitter(512)
    vector = Type("float", 8)
    with e.function("k", "void", [("a", PTR)]) as (a,):
        x = e.load(a, vector)
        y = FUNCTIONS["sin"](e, FUNCTIONS["cos"](e, FUNCTIONS["fmod"](e, x, x)))
        e.store(a, FUNCTIONS["tan"](e, y))
        e.line("ret void")
    llvm.parse_assembly(e.module()).verify()
    assert e.module().count("define internal") == 1


def test_other_element_types_are_refused() -> None:
    e = Emitter(512)
    with e.function("k", "void", [("x", Type("half", 8))]) as (x,):
        with pytest.raises(NotImplementedError, match="widen half and bfloat"):
            FUNCTIONS["exp"](e, x)
        e.line("ret void")
