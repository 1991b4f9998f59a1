"""Which backward functions a pass frees: those that PyTorch's would have saved something for.

What a derivative looks at decides, but for constants: PyTorch's multiplication by a number saves
that number as it does a tensor, its sum or mean saves none.
"""

from __future__ import annotations

from flambeau.ops import source
from flambeau.ops.value import Value
from flambeau.record.anomaly import function_name
from flambeau.record.events import InplaceOp
from flambeau.record.trace import Trace

# The functions of PyTorch's that save constants too, as far as theirs is all of an op here.
SAVING = frozenset(
    f"{name}Backward{number}"
    for names, number in (
        (
            """Mul Div Mm Addmm Bmm Baddbmm Addbmm Mv Dot Addcmul Addcdiv Pow Where Atan2 Index
            Gather IndexSelect IndexAdd IndexCopy IndexPut Scatter ScatterAdd Take Embedding
            MaskedFill MaskedSelect MaskedScatter Prod Maximum Minimum MaxPool2DWithIndices
            MaxPool3DWithIndices Conv1d Conv2d Conv3d ConvTranspose1d
            ConvTranspose2d ConvTranspose3d Convolution MseLoss""",
            0,
        ),
        ("Pow Prod Scatter MaskedFill", 1),
    )
    for name in names.split()
)
# Events whose derivatives look at nothing where PyTorch's would.
SAVING_ALWAYS = frozenset({"avg_pool1d", "avg_pool2d", "avg_pool3d"})


def of_no_data(value: Value) -> bool:
    """Whether a value is made of constants and Python numbers alone: such are never freed."""
    pending, seen = [value], {value}
    while pending:
        one = pending.pop()
        if one.primitive is source.input_ and one.attrs["role"] != "scalar":
            return False
        fresh = [v for v in one.inputs if v not in seen]
        seen.update(fresh)
        pending += fresh
        if len(seen) > 64:
            return False
    return True


def keeping(trace: Trace, passed: set[int], looked: set[int]) -> set[int]:
    """Of the events of a trace that a pass has gone through, those that PyTorch frees though they
    had nothing but constants to look at (`looked`): see SAVING, and writes through views.
    """
    found = set()
    states = [] if trace.state is None else trace.state.events()
    for event in passed:
        if not 0 < event <= len(states):
            continue
        state = states[event - 1]
        kind = state.key[0]
        written = isinstance(kind, InplaceOp) and not trace.is_base(trace.tensors[state.key[1]])
        saving = event in looked and function_name(state) in SAVING
        if written or saving or kind.name in SAVING_ALWAYS:
            found.add(event)
    return found
