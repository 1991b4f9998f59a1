"""Hooks on single backward functions: `grad_fn.register_hook`.

A derivative is not computed op by op, so a function that is hooked is taken out: the pass stops
there (see record/backward.py), and its op is recorded once more, alone, for what it passes on.
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.hooks import RemovableHandle, mark_cut, run_hooks
from flambeau.autograd.node import NUMBER_IS_OPERAND, in_places
from flambeau.record import recorder
from flambeau.record.chain import Cut
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
        edges = [
            v for v in operands if (v.dtype.kind in "fc" if isinstance(v, Tensor) else numbers)
        ]
        self.edges = in_places(event, edges, None)
        self.hooks: dict[int, Any] = {}
        self.before: dict[int, Any] = {}  # those of the tensor itself
        tensor._hooks = self.before

    def run(self, gradient: Any, cut: Cut) -> tuple[Any, ...]:
        """The cotangents of the operands that want one, as the hooks leave them."""
        if cut.create_graph:
            raise NotImplementedError("grad_fn.register_hook: a pass with create_graph=True")
        gradient = run_hooks(self.before, gradient)
        return tuple(ct for ct, v in zip(self._hooked(gradient), self.edges) if _wants(v))

    def _hooked(self, gradient: Any) -> list[Any]:
        """What is passed on to each edge, as the hooks leave it."""
        return self._run_hooks(self._passed_on(gradient), gradient)

    def _run_hooks(self, passed: list[Any], gradient: Any) -> list[Any]:
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
        return passed

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


class LinearCut(NodeCut):
    """Of what is one op here and several functions in PyTorch (see Graph._linear): an addition and
    a product with the turned weight, below a view where there are more than two axes.
    """

    def _hooked(self, gradient: Any) -> list[Any]:
        if gradient.dim() > 2:
            [rows] = self._run_hooks([gradient.reshape(-1, gradient.shape[-1])], gradient)
            return self._passed_on(rows.reshape(gradient.shape))
        x, weight, *bias = self._passed_on(gradient)
        turned = None if weight is None else weight.t()
        *bias, x, turned = self._run_hooks([*bias, x, turned], gradient)
        return [x, None if turned is None else turned.t(), *bias]


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
        event.repeatable
        and type(parts[0]) is int
        and all(part is None or type(part) is int or isinstance(part, type) for part in parts)
    )
    if not plain or tensor._hooks is not None or tensor.__dict__.get("_retains_grad"):
        raise NotImplementedError(UNSUPPORTED)
    inputs = [
        next(values) if isinstance(part, type) else None if part is None else rec.handles[part]
        for part in parts
    ]
    # (Copies: what was read may be overwritten before the pass.)
    operands = [
        v.detach().clone().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v
        for v in inputs
    ]
    kind = LinearCut if event.name == "linear" else NodeCut
    cut = kind(event, operands, key[-1], tensor)
    mark_cut(tensor, [v for v in inputs if _wants(v)], cut)
    return cut
