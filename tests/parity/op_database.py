"""PyTorch's own database of ops, run through Flambeau: sample inputs, gradients, forms, errors.

    python tests/parity/op_database.py [--only NAME ..] [--dtypes float32,int64] [--samples 20]

prints a line per op: how many samples agree, and what was wrong with the others. The forms of an op
are the function, the method, the in-place method and `out=`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import itertools
import sys
import time
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

import flambeau
from flambeau.record.meta import meta_of
from flambeau.record.storage import storage_from_array
from flambeau.tensor.tensor import from_storage

# Ops without a meaning here: other devices, kernels that are PyTorch's own business, other layouts.
FOREIGN = (
    "jiterator_", "sparse.", "to_sparse", "torch.ops.", "torch._", "_",
    "native_", "nn.functional.max_unpool2d.grad", "bmm.triton_optimized",
    "max_pool2d_with_indices_backward",
    "hash_tensor", "empty_quantized", "chalf",
)  # fmt: skip
FOREIGN_ALONE = ("slice", "linalg.lstsq.grad_oriented")
# Results that are memory nobody has written: only dtype, shape and strides are compared.
UNWRITTEN = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
             "new_empty_strided", "resize_", "resize_as_"}  # fmt: skip
RTOL = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-5, "complex64": 3e-5, "float64": 1e-7,
        "complex128": 1e-7}  # fmt: skip
GRADIENT_SLACK = 10
# Ops whose gradients are not compared.
NO_GRADIENT = {
    "as_strided_scatter": "PyTorch's gradient is that of other elements",
    "nextafter": "PyTorch has none either, but says that there is",
}
# Ops that may choose among equal elements: their indices are compared only for floats.
TIED = {"topk", "kthvalue", "sort", "argsort", "msort", "mode", "median", "nanmedian"}
# Ops whose results are defined up to the signs (or phases) of vectors.
SIGNED = {"svd", "linalg.svd", "svd_lowrank", "pca_lowrank", "linalg.eigh", "linalg.eig"}
# Ops whose results are defined up to more than rounding.
SLACK = {
    "polygamma": 100,
    "logcumsumexp": 10,
    "lgamma": 10,
    "digamma": 10,
    "pow": 10,
    "cdist": 100,
    "dist": 10,
}


def database() -> list[Any]:
    """The entries of PyTorch's database (its test package `expecttest` is not needed for them)."""
    try:
        importlib.import_module("expecttest")
    except ModuleNotFoundError:
        stand_in = types.ModuleType("expecttest")
        vars(stand_in)["TestCase"] = unittest.TestCase
        sys.modules["expecttest"] = stand_in
    from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


def name_of(op: Any) -> str:
    return op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")


# ---- PyTorch's things as Flambeau's --------------------------------------------------------------


def mine(given: Any, memo: dict[Any, Any] | None = None) -> Any:
    """A value of PyTorch's, in whatever containers, as Flambeau's; tensors keep their layout."""
    memo = {} if memo is None else memo
    if isinstance(given, torch.Tensor):
        if id(given) not in memo:
            memo[id(given)] = _mine_tensor(given, memo), given
        return memo[id(given)][0]
    if isinstance(given, torch.Size):
        return flambeau.Size(given)
    if isinstance(given, (list, tuple)):
        return type(given)([mine(part, memo) for part in given])
    if isinstance(given, Mapping):
        return {key: mine(part, memo) for key, part in given.items()}
    if isinstance(given, slice):
        return slice(*mine([given.start, given.stop, given.step], memo))
    if isinstance(given, (torch.dtype, torch.memory_format, torch.layout)):
        return getattr(flambeau, str(given).removeprefix("torch."))
    if isinstance(given, torch.device):
        return flambeau.device(str(given))
    if isinstance(given, torch.Generator):
        return flambeau.Generator().manual_seed(given.initial_seed())
    if isinstance(given, (types.FunctionType, types.BuiltinFunctionType)):
        return retargeted(given)
    if isinstance(given, torch.nn.LinearCrossEntropyOptions):
        names = [field.name for field in dataclasses.fields(given)]
        given = {name: mine(getattr(given, name)) for name in names}
        return flambeau.nn.LinearCrossEntropyOptions(**given)
    if isinstance(given, torch.nn.Module):
        return getattr(flambeau.nn, type(given).__name__)()
    return given


def _mine_tensor(given: torch.Tensor, memo: dict[Any, Any]) -> Any:
    """A tensor in a copy of the memory; tensors that share memory share the copy."""
    dtype = getattr(flambeau, str(given.dtype).removeprefix("torch."))
    plain = given.detach().resolve_conj().resolve_neg()
    place = plain.untyped_storage()._cdata, dtype
    if place not in memo:
        memory = torch.empty(0, dtype=plain.dtype).set_(plain.untyped_storage().clone())
        if plain.dtype is torch.bfloat16:
            flat = memory.view(torch.int16).numpy().view(np.uint16)
        else:
            flat = memory.numpy()
        memo[place] = storage_from_array(flat), plain
    meta = meta_of(dtype, tuple(plain.shape), tuple(plain.stride()))
    made = from_storage(memo[place][0], meta, plain.storage_offset())
    return made.requires_grad_() if given.requires_grad else made


class _Namespace:
    """Flambeau under the name torch; what it does not have is reported by name."""

    def __getattr__(self, name: str) -> Any:
        if name == "testing":
            return torch.testing
        return getattr(flambeau, name)


def retargeted(function: Any, depth: int = 0) -> Any:
    """A Python function of PyTorch's tests with `torch` meaning Flambeau."""
    if isinstance(function, functools.partial):
        return functools.partial(retargeted(function.func), *function.args, **function.keywords)
    if not isinstance(function, types.FunctionType) or depth > 3:
        return counterpart(function)
    if not (function.__module__ or "").startswith("torch.testing"):
        return counterpart(function)
    scope = dict(function.__globals__)
    scope["torch"] = _Namespace()
    for name in ("F", "nn"):
        if name in scope:
            scope[name] = flambeau.nn.functional if name == "F" else flambeau.nn
    scope["freeze_rng_state"] = contextlib.nullcontext
    scope["set_rng_seed"] = flambeau.manual_seed
    for name in function.__code__.co_names:
        inner = scope.get(name)
        if isinstance(inner, types.FunctionType) and inner.__module__.startswith("torch.testing"):
            scope[name] = retargeted(inner, depth + 1)
    cells = tuple(
        types.CellType(
            retargeted(cell.cell_contents, depth + 1)
            if callable(cell.cell_contents) and not isinstance(cell.cell_contents, type)
            else cell.cell_contents
        )
        for cell in function.__closure__ or ()
    )
    made = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def counterpart(function: Any) -> Any:
    """Flambeau's function for one of PyTorch's (by its name), or an AttributeError."""
    name = getattr(function, "__name__", "")
    if not name:  # an itemgetter and its like
        return function
    owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
    if owner is not None and issubclass(
        owner if isinstance(owner, type) else type(owner), torch._C.TensorBase
    ):
        return getattr(flambeau.Tensor, name)
    module = getattr(function, "__module__", None) or ""
    prefix = "linalg_" if name.startswith("linalg_") else "fft_" if name.startswith("fft_") else ""
    if name.startswith("special_"):
        prefix = "special_"
    if prefix:
        return getattr(getattr(flambeau, prefix[:-1]), name.removeprefix(prefix))
    if "nn.functional" in module or "_nn" in module:
        return getattr(flambeau.nn.functional, name)
    return getattr(flambeau, name)


def public_function(op: Any) -> Any:
    """The op by its name in Flambeau's namespace."""
    if isinstance(op.op, types.FunctionType) and (op.op.__module__ or "").startswith(
        "torch.testing"
    ):
        return retargeted(op.op)
    found: Any = flambeau
    for part in op.name.split("."):
        found = getattr(found, part, None) if found is not None else None
    if found is not None and callable(found):
        return found
    return retargeted(op.op)


# ---- comparing -----------------------------------------------------------------------------------


class Different(Exception):
    """A result that is not PyTorch's; the first word says what differs."""


def tensors_of(result: Any) -> list[Any]:
    if isinstance(result, (torch.Tensor, flambeau.Tensor)):
        return [result]
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return list(itertools.chain.from_iterable(map(tensors_of, result)))
    return []


def array(tensor: Any) -> Any:
    """The values for comparing: complex and bfloat16 included."""
    if isinstance(tensor, flambeau.Tensor):
        return np.asarray(tensor.detach()._values())
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy(force=True)


def _choices_left_out(op: Any, dtype: Any, result: Any) -> Any:
    """The result without the indices that an op was free to choose."""
    if op.name not in TIED or dtype in (torch.float32, torch.float64):
        return result
    return result[0] if isinstance(result, tuple) else tuple(result.shape)


def _without_signs(op: Any, result: Any) -> Any:
    """The result with absolute values where LAPACK's libraries choose the signs of vectors."""
    if op.name not in SIGNED:
        return result
    if isinstance(result, (tuple, list)):
        return tuple(_without_signs(op, part) for part in result)
    return result.abs()


def _free_choices(op: Any, dtype: Any, result: Any) -> Any:
    return _without_signs(op, _choices_left_out(op, dtype, result))


def compare(
    ours: Any, theirs: Any, slack: float, strides: bool, values: bool = True, least: float = 0.0
) -> None:
    """Raises Different unless our result is PyTorch's; `least` is the scale of what rounds to 0."""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, flambeau.Tensor):
            raise Different(f"type {type(ours).__name__}")
        name = str(theirs.dtype).removeprefix("torch.")
        if ours.dtype.name != name:
            raise Different(f"dtype {ours.dtype.name} for {name}")
        if tuple(ours.shape) != tuple(theirs.shape):
            raise Different(f"shape {tuple(ours.shape)} for {tuple(theirs.shape)}")
        if values:
            _compare_arrays(array(ours), array(theirs), RTOL.get(name, 0.0) * slack, least)
        if strides and theirs.numel() > 1 and tuple(ours.stride()) != tuple(theirs.stride()):
            raise Different(f"strides {tuple(ours.stride())} for {tuple(theirs.stride())}")
    elif isinstance(theirs, Mapping):
        for key, part in theirs.items():
            compare(ours[key], part, slack, strides, values, least)
    elif isinstance(theirs, (list, tuple)) and not isinstance(theirs, torch.Size):
        if not isinstance(ours, (list, tuple)) or len(ours) != len(theirs):
            raise Different(f"type {type(ours).__name__} for {type(theirs).__name__}")
        for a, b in zip(ours, theirs):
            compare(a, b, slack, strides, values, least)
    elif isinstance(theirs, (float, complex)):
        _compare_arrays(np.asarray(ours), np.asarray(theirs), 1e-5 * slack)
    elif isinstance(theirs, (torch.dtype, torch.layout, torch.device)):
        if str(ours) != str(theirs):
            raise Different(f"value {ours} for {theirs}")
    elif ours != theirs or type(ours).__name__ != type(theirs).__name__:
        raise Different(f"value {ours!r} for {theirs!r}")


def _compare_arrays(ours: Any, theirs: Any, rtol: float, least: float = 0.0) -> None:
    finite = theirs[np.isfinite(theirs)] if theirs.dtype.kind in "fc" else theirs
    scale = float(np.abs(finite).max()) if finite.size and theirs.dtype.kind in "fc" else 0.0
    # (A gradient that cancels is what the largest of its terms rounds to.)
    atol = rtol * max(min(1.0, scale), least)
    with np.errstate(all="ignore"):
        close = np.isclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if not close.all():
        at = tuple(int(i[0]) for i in np.nonzero(~close)) if close.ndim else ()
        raise Different(f"value {ours[at]} for {theirs[at]} at {at} of {theirs.shape}")


# ---- running -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Report:
    """What became of the samples of one op; `notes` counts each thing that was wrong."""

    name: str
    samples: int = 0
    good: int = 0
    errors: int = 0  # error inputs
    good_errors: int = 0
    forms: int = 0  # methods, in-place methods, out=
    good_forms: int = 0
    missing: bool = False
    notes: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def perfect(self) -> bool:
        return not self.notes

    def line(self) -> str:
        state = "missing" if self.missing else "ok" if self.perfect else "FAIL"
        counts = (
            f"{self.good}/{self.samples} samples {self.good_forms}/{self.forms} forms "
            f"{self.good_errors}/{self.errors} errors"
        )
        notes = "; ".join(f"{text} x{n}" for text, n in self.notes.most_common(4))
        return f"{state:8}{self.name:36} {counts:48} {notes}"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Different):
        return text[:150]
    return f"{type(error).__name__}: {text}"[:150]


def _called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call with both libraries' generators at a known place and no warnings."""
    torch.manual_seed(5)
    flambeau.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def _fresh(given: Any) -> Any:
    """The same arguments for PyTorch with leaves of their own."""
    if isinstance(given, torch.Tensor):
        plain = given.detach()
        strided = torch.empty(0, dtype=plain.dtype).set_(plain.untyped_storage().clone())
        copy = strided.as_strided(plain.shape, plain.stride(), plain.storage_offset())
        if plain.is_conj() or plain.is_neg():
            copy = plain.clone()
        return copy.detach().requires_grad_(given.requires_grad)
    if isinstance(given, torch.Size):
        return given
    if isinstance(given, (list, tuple)):
        return type(given)([_fresh(part) for part in given])
    if isinstance(given, Mapping):
        return {key: _fresh(part) for key, part in given.items()}
    return given


def _gradients(results: list[Any], inputs: list[Any], cts: list[Any]) -> Any:
    grad: Any = torch.autograd.grad
    if isinstance(results[0], flambeau.Tensor):
        grad = flambeau.autograd.grad
    return grad(results, inputs, cts, allow_unused=True)


def _check_gradients(
    theirs: Any, ours: Any, their_in: list[Any], our_in: list[Any], slack: float
) -> None:
    wanted = [(a, b) for a, b in zip(tensors_of(ours), tensors_of(theirs)) if b.requires_grad]
    if not wanted or not their_in:
        if any(a.requires_grad for a in tensors_of(ours)) and their_in:
            raise Different("requires_grad True for False")
        return
    if not all(a.requires_grad for a, _ in wanted):
        raise Different("requires_grad False for True")
    generator = torch.Generator().manual_seed(7)
    cts = [torch.randn(b.shape, generator=generator, dtype=b.dtype) for _, b in wanted]
    expected = _gradients([b for _, b in wanted], their_in, cts)
    found = _gradients([a for a, _ in wanted], our_in, [mine(c) for c in cts])
    for a, b in zip(found, expected):
        if a is None or b is None:
            there = b if a is None else a
            if there is not None and array(there).any():
                raise Different(f"gradient {'None' if a is None else 'a tensor for None'}")
            continue
        try:
            compare(a, b, slack * GRADIENT_SLACK, strides=False, least=1.0)
        except Different as error:
            raise Different(f"gradient {error}") from None


class Runner:
    """Runs the entries of the database for some dtypes."""

    def __init__(self, dtypes: list[Any], samples: int | None = None, strides: bool = True) -> None:
        self.dtypes = dtypes
        self.samples = samples
        self.strides = strides

    def run(self, op: Any) -> Report:
        report = Report(name_of(op))
        try:
            function = public_function(op)
        except AttributeError as error:
            report.missing = True
            report.notes[_reason(error)] += 1
            return report
        for dtype in self.dtypes:
            if dtype in op.supported_dtypes("cpu"):
                self._samples(op, function, dtype, report)
        self._errors(op, function, report)
        return report

    def _samples(self, op: Any, function: Any, dtype: Any, report: Report) -> None:
        differentiable = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
        torch.manual_seed(3)
        kinds = [False]
        if differentiable and (dtype.is_floating_point or dtype.is_complex):
            kinds = [True]
        for requires_grad in kinds:
            given = op.sample_inputs("cpu", dtype, requires_grad=requires_grad)
            for number, sample in enumerate(itertools.islice(given, self.samples)):
                self._sample(op, function, dtype, sample, report)
                if number < 8:
                    self._forms(op, dtype, sample, report)

    def _note(self, report: Report, dtype: Any, error: BaseException, form: str = "") -> None:
        name = str(dtype).removeprefix("torch.")
        report.notes[f"{name} {form}{_reason(error)}"] += 1

    def _sample(self, op: Any, function: Any, dtype: Any, sample: Any, report: Report) -> None:
        theirs_given = _fresh([sample.input, list(sample.args), dict(sample.kwargs)])
        ours_given = mine(theirs_given)
        process = sample.output_process_fn_grad
        try:
            theirs = _called(op.op, theirs_given[0], *theirs_given[1], **theirs_given[2])
        except Exception:
            return  # not a sample for this dtype
        report.samples += 1
        slack = SLACK.get(op.name, 1)
        try:
            ours = _called(function, ours_given[0], *ours_given[1], **ours_given[2])
            plain = [_free_choices(op, dtype, result) for result in (ours, theirs)]
            compare(*plain, slack, self.strides, op.name not in UNWRITTEN)
            leaves = [t for t in tensors_of(theirs_given) if t.requires_grad]
            mine_leaves = [t for t in tensors_of(ours_given) if t.requires_grad]
            if leaves and op.name not in NO_GRADIENT:
                _check_gradients(
                    process(theirs), retargeted(process)(ours), leaves, mine_leaves, slack
                )
            report.good += 1
        except Exception as error:
            self._note(report, dtype, error)

    def _forms(self, op: Any, dtype: Any, sample: Any, report: Report) -> None:
        forms = [("method ", op.method_variant)]
        if not sample.broadcasts_input:
            forms.append(("in place ", op.inplace_variant))
        if op.supports_out:
            forms.append(("out= ", op.op))
        for form, function in forms:
            if function is None:
                continue
            given = _fresh([sample.input, list(sample.args), dict(sample.kwargs)])
            given = _without_gradients(given)
            own = mine(given)
            try:
                if form == "out= ":
                    result = _called(function, given[0], *given[1], **given[2])
                    given[2]["out"] = _outs(result)
                    own[2]["out"] = mine(given[2]["out"])
                theirs = _called(function, given[0], *given[1], **given[2])
            except Exception:
                continue
            report.forms += 1
            try:
                called = public_function(op) if form == "out= " else retargeted(function)
                ours = _called(called, own[0], *own[1], **own[2])
                plain = [_free_choices(op, dtype, result) for result in (ours, theirs)]
                slack = SLACK.get(op.name, 1)
                compare(*plain, slack, self.strides, op.name not in UNWRITTEN)
                report.good_forms += 1
            except Exception as error:
                self._note(report, dtype, error, form)

    def _errors(self, op: Any, function: Any, report: Report) -> None:
        if op.error_inputs_func is None:
            return
        for case in op.error_inputs("cpu"):
            sample = case.sample_input
            given = [sample.input, list(sample.args), dict(sample.kwargs)]
            try:
                own = mine(given)
            except Exception:
                continue
            try:
                _called(op.op, given[0], *given[1], **given[2])
                continue
            except Exception as error:
                theirs = error
            report.errors += 1
            try:
                for tensor in tensors_of(_called(function, own[0], *own[1], **own[2])):
                    array(tensor)
            except Exception as error:
                if type(error).__name__ == type(theirs).__name__:
                    report.good_errors += 1
                else:
                    report.notes[f"error {_reason(error)} for {_reason(theirs)}"] += 1
            else:
                report.notes[f"error none for {_reason(theirs)}"] += 1


def _outs(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return torch.empty_like(result)
    return tuple(_outs(part) for part in result)


def _without_gradients(given: Any) -> Any:
    if isinstance(given, torch.Tensor):
        return given.detach()
    if isinstance(given, torch.Size):
        return given
    if isinstance(given, (list, tuple)):
        return type(given)([_without_gradients(part) for part in given])
    if isinstance(given, Mapping):
        return {key: _without_gradients(part) for key, part in given.items()}
    return given


def chosen(only: list[str] | None = None, neural: bool = False) -> Iterator[Any]:
    """The entries to run: those whose name is or starts with one of `only`."""
    for op in database():
        name = name_of(op)
        if only:
            if any(
                name == o or op.name == o or (o.endswith("*") and name.startswith(o[:-1]))
                for o in only
            ):
                yield op
        elif (
            name not in FOREIGN_ALONE
            and not name.startswith(FOREIGN)
            and (neural or not name.startswith("nn."))
        ):
            yield op


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of ops; a trailing * matches any ending")
    parser.add_argument("--dtypes", default="float32,int64,bool", help="comma-separated")
    parser.add_argument("--samples", type=int, help="at most so many samples per op and dtype")
    parser.add_argument("--neural", action="store_true", help="with the entries of nn.functional")
    parser.add_argument("--no-strides", action="store_true", help="ignore the strides of results")
    parser.add_argument("--failures", action="store_true", help="print only what is wrong")
    options = parser.parse_args()
    dtypes = [getattr(torch, name) for name in options.dtypes.split(",")]
    runner = Runner(dtypes, options.samples, strides=not options.no_strides)
    started, reports = time.monotonic(), []
    for op in chosen(options.only, options.neural):
        report = runner.run(op)
        reports.append(report)
        if not (options.failures and report.perfect):
            print(report.line(), flush=True)
    count = {
        name: sum(getattr(r, name) for r in reports)
        for name in ("samples", "good", "forms", "good_forms", "errors", "good_errors")
    }
    print(
        f"{len(reports)} ops: {sum(r.perfect for r in reports)} perfect, "
        f"{sum(r.missing for r in reports)} missing; samples {count['good']}/{count['samples']}, "
        f"forms {count['good_forms']}/{count['forms']}, "
        f"errors {count['good_errors']}/{count['errors']}; {time.monotonic() - started:.0f} s"
    )
    return 0 if all(r.perfect for r in reports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
