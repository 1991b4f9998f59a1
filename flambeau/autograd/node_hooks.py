"""Hooks on single backward functions: `grad_fn.register_hook`.

A derivative is not computed op by op, so a function that is hooked is taken out: the pass stops
there (see record/backward.py), and its op is recorded once more, alone, for what it passes on.
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.hooks import RemovableHandle, mark_cut, run_hooks
from flambeau.autograd.node import NUMBER_IS_OPERAND
from flambeau.record import recorder
from flambeau.record.chain import Cut
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor

UNSUPPORTED = (
    "grad_fn.register_hook: only on functions of plain ops with one result, before what made them "
    "has run, and on tensors without hooks of their own; use Tensor.register_hook on the op's "
    "inputs and results instead"
)


class NodeCut:
    """The hooks of one backward function, as a cut of the graph."""

    def __init__(self, event: Any, operands: list[Any], attributes: Any, tensor: Tensor) -> None:
        self.event = event
        self.operands = operands
        self.attributes = attributes
        # The operands that PyTorch's function has a place for: see Graph._edges.
        numbers = event.name in NUMBER_IS_OPERAND
        self.edges = [
            v for v in operands if (v.dtype.kind in "fc" if isinstance(v, Tensor) else numbers)
        ]
        self.hooks: dict[int, Any] = {}
        self.before: dict[int, Any] = {}  # those of the tensor itself
        tensor._hooks = self.before

    def run(self, gradient: Any, cut: Cut) -> tuple[Any, ...]:
        """The cotangents of the operands that want one, as the hooks leave them."""
        if cut.create_graph:
            raise NotImplementedError("grad_fn.register_hook: a pass with create_graph=True")
        gradient = run_hooks(self.before, gradient)
        passed = self._passed_on(gradient)
        for hook in list(self.hooks.values()):
            result = hook(tuple(passed), (gradient,))
            if result is None:
                continue
            result = (result,) if isinstance(result, Tensor) else tuple(result)
            if len(result) != len(passed):
                name = getattr(hook, "__name__", "<unknown>")
                raise RuntimeError(
                    f"hook '{name}' has returned an incorrect number of values (got "
                    f"{len(result)}, but expected {len(passed)})"
                )
            passed = list(result)
        return tuple(ct for ct, v in zip(passed, self.edges) if _wants(v))

    def _passed_on(self, gradient: Any) -> list[Any]:
        from flambeau.autograd.engine import grad
        from flambeau.autograd.modes import enable_grad

        with enable_grad():
            result = recorder.record(self.event, self.operands, self.attributes)
        leaves = [v for v in self.operands if _wants(v)]
        found = iter(grad((result,), leaves, (gradient,), allow_unused=True))
        return [next(found) if _wants(v) else None for v in self.edges]

    def release(self) -> None:
        """Hooks stay."""


def _wants(operand: Any) -> bool:
    """Whether an operand gets a gradient."""
    return isinstance(operand, Tensor) and operand.requires_grad


def hook_function(node: Any, hook: Any) -> RemovableHandle:
    """Calls hook(gradients passed on, (gradient,)); a result replaces the former."""
    cut = node._cut
    if cut is None:
        cut = node._cut = _cut_of(node)
    handle = RemovableHandle(cut.hooks)
    cut.hooks[handle.id] = hook
    return handle


def _cut_of(node: Any) -> NodeCut:
    rec = recorder.LOCAL.rec
    if node._made is None or rec.nodes is not node._graph:
        raise NotImplementedError(UNSUPPORTED)
    event, key, state = node._made
    tensor, parts = rec.handles[state.number], key[1:-1]
    scalars = [part for part in parts if isinstance(part, type)]
    values = iter(rec.scalars[state.lengths[1] - len(scalars) : state.lengths[1]])
    plain = (
        type(event) is PureOp
        and event.name != "linear"  # (PyTorch has several functions for that)
        and type(parts[0]) is int
        and all(type(part) is int or isinstance(part, type) for part in parts)
    )
    if not plain or tensor._hooks is not None or tensor.__dict__.get("_retains_grad"):
        raise NotImplementedError(UNSUPPORTED)
    inputs = [next(values) if isinstance(part, type) else rec.handles[part] for part in parts]
    # (Copies: what was read may be overwritten before the pass.)
    operands = [
        v.detach().clone().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v
        for v in inputs
    ]
    cut = NodeCut(event, operands, key[-1], tensor)
    mark_cut(tensor, [v for v in inputs if _wants(v)], cut)
    return cut
