"""A model's program as TensorBoard's graph: the primitives it records, in the scopes of modules."""

from __future__ import annotations

from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.config_pb2 import RunMetadata
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.step_stats_pb2 import DeviceStepStats, StepStats
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from flambeau.autograd.modes import no_grad
from flambeau.graph.program import reachable
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor


def graph_of(model: Any, inputs: Any) -> tuple[GraphDef, RunMetadata]:
    """Run the model on its inputs (a tuple of them, or one) and describe what it records."""
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    calls: list[tuple[str, list[Tensor], list[Tensor]]] = []
    handles = []
    for name, module in model.named_modules():
        path = "/".join([type(model).__name__, *(f"{p}" for p in name.split(".") if p)])
        label = f"{path}[{type(module).__name__}]" if name else path
        hook = _noting(calls, label)
        handles.append(module.register_forward_hook(hook))
    try:
        with no_grad():
            recorder.flush()
            model(*given)
            values = _values(calls)
            stored = {
                _source(value): name
                for name, tensor in [*model.named_parameters(), *model.named_buffers()]
                if (value := _value_of(tensor)) is not None
            }
    finally:
        for handle in handles:
            handle.remove()
    nodes = _nodes(type(model).__name__, values, stored)
    stats = RunMetadata(step_stats=StepStats(dev_stats=[DeviceStepStats(device="/device:CPU:0")]))
    return GraphDef(node=nodes, versions=VersionDef(producer=22)), stats


def _noting(calls: list[Any], label: str) -> Any:
    def note(module: Any, inputs: Any, output: Any) -> None:
        calls.append((label, _tensors(inputs), _tensors(output)))

    return note


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


Call = tuple[str, list[Value], list[Value]]


def _value_of(tensor: Tensor) -> Value | None:
    """The tensor's value in the recording under way; None where it has been computed already."""
    rec = recorder.LOCAL.rec
    if tensor._rec is not rec or tensor._num < 0:
        return None
    value: Value = recorder.trace_of(rec).read(tensor._num)
    return value


def _values(calls: list[tuple[str, list[Tensor], list[Tensor]]]) -> list[Call]:
    found = []
    for label, before, after in calls:
        pairs = [[v for t in part if (v := _value_of(t)) is not None] for part in (before, after)]
        found.append((label, pairs[0], pairs[1]))
    return found


def _source(value: Value) -> Value:
    """The input of which the value is a view."""
    while value.inputs:
        value = value.inputs[0]
    return value


def _nodes(root: str, calls: list[Call], stored: dict[Value, str]) -> list[NodeDef]:
    outputs = [value for _, _, after in calls[-1:] for value in after]
    scopes: dict[Value, str] = {}
    for label, before, after in calls:  # the inner modules end first
        for value in _between(after, set(before)):
            scopes.setdefault(value, label)
    counts: dict[str, int] = {}
    names: dict[Value, str] = {}
    nodes = []
    for value in reachable(outputs):
        kind = value.primitive.name
        scope = scopes.get(value, root)
        if value in stored:
            scope, kind = (
                f"{root}/{stored[value].rpartition('.')[0].replace('.', '/')}",
                "parameter",
            )
        label = stored[value].rpartition(".")[2] if value in stored else kind
        base = f"{scope.rstrip('/')}/{label}"
        counts[base] = counts.get(base, -1) + 1
        names[value] = base if counts[base] == 0 else f"{base}_{counts[base]}"
        nodes.append(_node(value, names, kind))
    for number, value in enumerate(outputs):
        name = "output" if number == 0 else f"output_{number}"
        nodes.append(NodeDef(name=f"{root}/{name}", op="IO Node", input=[names[value]]))
    return nodes


def _between(after: list[Value], before: set[Value]) -> list[Value]:
    """The values that lead to `after`, as far as `before`."""
    seen: set[Value] = set()
    waiting = list(after)
    while waiting:
        value = waiting.pop()
        if value not in seen and value not in before:
            seen.add(value)
            waiting.extend(value.inputs)
    return list(seen)


def _node(value: Value, names: dict[Value, str], kind: str) -> NodeDef:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in value.shape])
    shown = ", ".join(f"{key}={item}" for key, item in value.attrs.items())[:1000]
    return NodeDef(
        name=names[value],
        op=kind,
        input=[names[operand] for operand in value.inputs],
        attr={
            "_output_shapes": AttrValue(list=AttrValue.ListValue(shape=[shape])),
            "dtype": AttrValue(s=value.dtype.name.encode()),
            "attr": AttrValue(s=shown.encode()),
        },
    )
