"""PyTorch's own database of modules, run through Flambeau: states, outputs, gradients, names.

    python tests/parity/module_database.py [--only NAME ..] [--failures]

Each entry gives arguments for the constructor and for `forward`. Both libraries build the module;
Flambeau's takes PyTorch's state; outputs, gradients of inputs and parameters, the changed state and
`repr` must agree, in training and in evaluation.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

import numpy as np
import torch
from op_database import (
    RTOL,
    Different,
    Report,
    _called,
    _fresh,
    _reason,
    array,
    compare,
    database,
    mine,
    tensors_of,
)

import flambeau

# Modules without a meaning here (quantised ones), or of another part of the tests.
FOREIGN: tuple[str, ...] = ()
GRADIENT_SLACK, OUTPUT_SLACK = 20, 3


def entries() -> list[Any]:
    """The entries of PyTorch's database of modules."""
    database()  # imports the test package with what it needs
    from torch.testing._internal.common_modules import module_db

    return [info for info in module_db if info.formatted_name not in FOREIGN]


def name_of(info: Any) -> str:
    return str(info.module_cls.__name__)


def ours_for(info: Any) -> Any:
    """Flambeau's class of that name; AttributeError where there is none."""
    return getattr(flambeau.nn, name_of(info))


def _arguments(given: Any) -> Any:
    """Constructor or forward arguments as Flambeau's: modules' and functions' names count."""
    if isinstance(given, torch.nn.TransformerEncoderLayer):
        attention = given.self_attn
        made = flambeau.nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, given.linear1.out_features,
            given.dropout.p, mine(given.activation), given.norm1.eps, attention.batch_first,
            given.norm_first, given.linear1.bias is not None,
        )  # fmt: skip
        made.load_state_dict({name: mine(t) for name, t in given.state_dict().items()})
        return made
    if isinstance(given, torch.nn.Module):
        raise NotImplementedError(f"a module as an argument: {type(given).__name__}")
    if isinstance(given, (list, tuple)) and not isinstance(given, torch.Size):
        return type(given)(_arguments(part) for part in given)
    if isinstance(given, dict):
        return {key: _arguments(part) for key, part in given.items()}
    return mine(given)


def _state(module: Any) -> dict[str, Any]:
    return dict(module.state_dict())


def _scalars(results: list[Any], weights: list[Any]) -> Any:
    total = None
    for result, weight in zip(results, weights):
        part = (result * weight).sum()
        total = part if total is None else total + part
    return total


def _differentiable(tensors: list[Any]) -> list[Any]:
    return [t for t in tensors if t.requires_grad]


def check(info: Any, sample: Any, training: bool) -> None:
    """Raises Different (or what Flambeau raises) unless one sample agrees."""
    build = sample.constructor_input
    theirs = _called(info.module_cls, *_fresh(list(build.args)), **_fresh(dict(build.kwargs)))
    ours = _called(ours_for(info), *_arguments(list(build.args)), **_arguments(dict(build.kwargs)))
    theirs.to(torch.float32)
    ours.to(flambeau.float32)
    if repr(ours) != repr(theirs):
        raise Different(f"repr {ours!r} for {theirs!r}")
    if list(_state(ours)) != list(_state(theirs)):
        raise Different(f"state {list(_state(ours))} for {list(_state(theirs))}")
    waiting = any(torch.nn.parameter.is_lazy(value) for value in theirs.parameters())
    for name, value in () if waiting else _state(theirs).items():
        try:  # the same seed gives the same initial values
            compare(_state(ours)[name], value, 1, strides=False)
        except Different as error:
            raise Different(f"initial {name} {error}") from None
    if not waiting:  # (what is made at the first call is made of the same seed)
        ours.load_state_dict({name: mine(value) for name, value in _state(theirs).items()})
    theirs.train(training)
    ours.train(training)
    call = sample.forward_input
    if call is None:
        return
    given = _fresh([list(call.args), dict(call.kwargs)])
    own = mine(given)
    wanted = _called(theirs, *given[0], **given[1])
    found = _called(ours, *own[0], **own[1])
    compare(found, wanted, 1, strides=False, values=False)
    for a, b in zip(tensors_of(found), tensors_of(wanted), strict=True):
        if b.is_floating_point():
            close(a, b, OUTPUT_SLACK)
        else:
            compare(a, b, 1, strides=False)
    _check_gradients(theirs, ours, given, own, wanted, found)
    for name, value in _state(theirs).items():
        try:
            compare(_state(ours)[name], value, 3, strides=False)
        except Different as error:
            raise Different(f"state {name} {error}") from None


def _check_gradients(theirs: Any, ours: Any, given: Any, own: Any, wanted: Any, found: Any) -> None:
    places = [i for i, t in enumerate(tensors_of(wanted)) if t.requires_grad]
    if not places:
        return
    generator = torch.Generator().manual_seed(11)
    weights = [
        torch.randn(
            tensors_of(wanted)[i].shape, generator=generator, dtype=tensors_of(wanted)[i].dtype
        )
        for i in places
    ]
    for i in places:
        if not tensors_of(found)[i].requires_grad:
            raise Different("requires_grad False for True")
    _scalars([tensors_of(wanted)[i] for i in places], weights).backward()
    _scalars([tensors_of(found)[i] for i in places], [mine(w) for w in weights]).backward()
    pairs = [
        ("input", a, b)
        for a, b in zip(
            _differentiable(tensors_of(own)), _differentiable(tensors_of(given)), strict=True
        )
    ]
    named = dict(ours.named_parameters())
    pairs += [(name, named[name], value) for name, value in theirs.named_parameters()]
    for name, a, b in pairs:
        if a.grad is None or b.grad is None:
            there = b.grad if a.grad is None else a.grad
            if there is not None and array(there).any():
                raise Different(f"gradient of {name}: {a.grad} for {b.grad}")
            continue
        try:
            close(a.grad, b.grad)
        except Different as error:
            raise Different(f"gradient of {name} {error}") from None


def close(ours: Any, theirs: Any, slack: float = GRADIENT_SLACK) -> None:
    """Raises Different unless the values agree relative to the largest element: sums cancel."""
    a, b = array(ours), array(theirs)
    if a.shape != b.shape:
        raise Different(f"shape {a.shape} for {b.shape}")
    finite = np.isfinite(b)
    with np.errstate(all="ignore"):
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            raise Different(f"value {a[~finite][0]} for {b[~finite][0]}")
    a, b = a[finite], b[finite]
    scale = float(abs(b).max()) if b.size else 0.0
    tolerance = RTOL[str(theirs.dtype).removeprefix("torch.")] * slack
    worst = float(abs(a - b).max()) if b.size else 0.0
    if not worst <= tolerance * max(scale, 1e-2):
        raise Different(f"value off by {worst} of {scale}")


def run(info: Any, samples: int | None = None) -> Report:
    """What became of one entry's samples."""
    report = Report(name_of(info))
    try:
        ours_for(info)
    except AttributeError as error:
        report.missing = True
        report.notes[_reason(error)] += 1
        return report
    for training in (True, False):
        torch.manual_seed(3)
        given = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
        )
        for sample in itertools.islice(given, samples):
            report.samples += 1
            try:
                check(info, sample, training)
                report.good += 1
            except Exception as error:
                report.notes[_reason(error)] += 1
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of modules")
    parser.add_argument("--failures", action="store_true", help="print only what is wrong")
    options = parser.parse_args()
    reports = [run(i) for i in entries() if not options.only or name_of(i) in options.only]
    for report in reports:
        if not (options.failures and report.perfect):
            print(report.line())
    good, all_ = (sum(getattr(r, n) for r in reports) for n in ("good", "samples"))
    print(
        f"{len(reports)} modules: {sum(r.perfect for r in reports)} pass, "
        f"{sum(r.missing for r in reports)} missing; samples {good}/{all_}"
    )
    return 0 if all(r.perfect for r in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
