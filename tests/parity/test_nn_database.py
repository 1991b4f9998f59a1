"""The entries nn.functional.* of PyTorch's database of ops: values, gradients, forms, errors.

python tests/parity/test_nn_database.py [--only NAME ..] [--failures]
"""

from __future__ import annotations

import argparse
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import op_database as ops
from module_database import close

import flambeau

pytestmark = pytest.mark.parity

SAMPLES = 40
# What is known not to be there, by the words of the refusal or of the difference.
KNOWN = {
    "nn.functional.linear_cross_entropy": "options=...) is not implemented",
    "nn.functional.batch_norm": "expected at least 2 dimensions, but got 1",  # of nothing
    "nn.functional.multi_head_attention_forward": "is not implemented yet",
}
# In-place forms that are nameless functions of the database.
NAMELESS = ("module 'torch' has no attribute ''", "must be Tensor, not Tensor")


class NeuralRunner(ops.Runner):
    """Runs samples with gradients compared relative to their largest element."""

    def _sample(self, op: Any, function: Any, dtype: Any, sample: Any, report: Any) -> None:
        given = ops._fresh([sample.input, list(sample.args), dict(sample.kwargs)])
        own = ops.mine(_with_modules(given))
        process = sample.output_process_fn_grad
        try:
            theirs = ops._called(op.op, given[0], *given[1], **given[2])
        except Exception:
            return
        report.samples += 1
        try:
            ours = ops._called(function, own[0], *own[1], **own[2])
            ops.compare(ours, theirs, 1, self.strides)
            self._gradients(given, own, process(theirs), ops.retargeted(process)(ours))
            report.good += 1
        except Exception as error:
            self._note(report, dtype, error)

    def _gradients(self, given: Any, own: Any, theirs: Any, ours: Any) -> None:
        leaves = [t for t in ops.tensors_of(given) if t.requires_grad]
        own_leaves = [t for t in ops.tensors_of(own) if t.requires_grad]
        pairs = list(zip(ops.tensors_of(ours), ops.tensors_of(theirs), strict=True))
        for a, b in pairs:
            if a.requires_grad != b.requires_grad:
                raise ops.Different(f"requires_grad {a.requires_grad} for {b.requires_grad}")
        wanted = [(a, b) for a, b in pairs if b.requires_grad]
        if not wanted or not leaves:
            return
        generator = torch.Generator().manual_seed(7)
        cts = [torch.randn(b.shape, generator=generator, dtype=b.dtype) for _, b in wanted]
        expected = ops._gradients([b for _, b in wanted], leaves, cts)
        found = ops._gradients([a for a, _ in wanted], own_leaves, [ops.mine(c) for c in cts])
        for a, b in zip(found, expected, strict=True):
            if (a is None) != (b is None):
                there = b if a is None else a
                if ops.array(there).any():
                    raise ops.Different(f"gradient {'None' if a is None else 'a tensor for None'}")
            elif a is not None:
                close(a, b)


def _with_modules(given: Any) -> Any:
    """Modules without parameters among the arguments as Flambeau's modules of that name."""
    if isinstance(given, torch.nn.Module):
        return getattr(flambeau.nn, type(given).__name__)()
    if isinstance(given, (list, tuple)) and not isinstance(given, torch.Size):
        return type(given)(_with_modules(part) for part in given)
    if isinstance(given, dict):
        return {key: _with_modules(part) for key, part in given.items()}
    return given


def entries() -> dict[str, Any]:
    return {ops.name_of(op): op for op in ops.chosen(["nn.functional.*"])}


def wrong(report: Any) -> list[str]:
    """The notes of a report that are not known."""
    known = [text for name, text in KNOWN.items() if report.name.startswith(name)]
    known += NAMELESS
    return [note for note in report.notes if not any(text in note for text in known)]


ENTRIES = entries()


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_function(name: str) -> None:
    report = NeuralRunner([torch.float32], SAMPLES).run(ENTRIES[name])
    print(report.line())
    if report.missing:
        pytest.skip(f"torch.{name} is not there yet")
    assert not wrong(report), report.line()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of entries")
    parser.add_argument("--failures", action="store_true", help="print only what is wrong")
    options = parser.parse_args()
    reports = []
    for name, op in ENTRIES.items():
        if options.only and name not in options.only:
            continue
        report = NeuralRunner([torch.float32], SAMPLES).run(op)
        reports.append(report)
        if not options.failures or wrong(report):
            print(report.line())
    passed = sum(not wrong(report) for report in reports)
    print(f"{len(reports)} entries: {passed} pass, {sum(r.missing for r in reports)} missing")


if __name__ == "__main__":
    main()
