"""Views that autograd restricts: made under no_grad, or several at once, or in a custom function.

PyTorch lets them be read, but not written where that would be recorded; and once their base was
written, they cannot take part in the graph either. `Meta.born` says which kind a view is. A view
made under no_grad of a base that requires a gradient says so too, but has no gradient of its own;
where it was given one by requires_grad_, the kind ends in KEPT. Where the base requires none and
the view was made to, the base does not matter any more: that ends in OWN.
"""

from __future__ import annotations

import re

from flambeau.record.handle import Family, Handle
from flambeau.record.meta import Meta

NO_GRAD = "no_grad"
SEVERAL = "several"
FUNCTION = "function"
OWN = " own"
KEPT = " kept"
STALE = -1

_REASONS = {
    NO_GRAD: (
        " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
        "your code by moving both the view and the inplace either both inside the no_grad block "
        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
        "be tracked)."
    ),
    SEVERAL: (
        " This view is the output of a function that returns multiple views. Such functions do not "
        "allow the output views to be modified inplace. You should replace the inplace operation "
        "by an out-of-place one."
    ),
    FUNCTION: (
        " This view was created inside a custom Function (or because an input was returned as-is) "
        "and the autograd logic to handle view+inplace would override the custom backward "
        "associated with the custom Function, leading to incorrect gradients. This behavior is "
        "forbidden. You can fix this by cloning the output of the custom Function."
    ),
}


def birth(parent: Meta, grad_mode: bool, several: bool = False) -> str | None:
    """What `born` is to say of a new view of `parent`."""
    if not grad_mode:
        return NO_GRAD
    if several:
        return SEVERAL
    return parent.born


def owned(meta: Meta) -> str | None:
    """`born` of a tensor that requires a gradient by itself from now on."""
    if meta.born is None or meta.born.endswith((OWN, KEPT)):
        return meta.born
    return meta.born + (KEPT if meta.requires_grad else OWN)


def follows_base(meta: Meta) -> bool:
    """Whether the view may become stale: its base requires a gradient."""
    return meta.born is not None and meta.requires_grad and not meta.born.endswith(OWN)


def without_gradient(meta: Meta) -> bool:
    """Whether a leaf requires a gradient as its base does, but gets none."""
    return follows_base(meta) and meta.is_leaf and not (meta.born or "").endswith(KEPT)


def refusal(meta: Meta, output: int, *, indirect: bool) -> str:
    """PyTorch's words where such a view is written, or is used after its base was (indirect)."""
    assert meta.born is not None
    output = max(output, 0)
    kind = meta.born.split(" ")[0]
    what = "its base or another view of its base has been" if indirect else "is being"
    name = None if meta.grad_name is None else re.sub(r"Backward\d*$", "", meta.grad_name)
    if kind == NO_GRAD or name is None:
        start = (
            "A view was"
            if name is None
            else f"Output {output} of {name} is a view of a view which was"
        )
        text = (
            f"{start} created in no_grad mode and {what} modified inplace with grad mode enabled."
        )
    else:
        text = f"Output {output} of {name} is a view and {what} modified inplace."
    return text + _REASONS[kind]


def restrict(tensor: Handle, output: int, stale: bool) -> None:
    """Makes a view that holds its data known as one that follows its base."""
    assert tensor._storage is not None
    tensor._seen = STALE if stale else tensor._storage.version
    tensor._output = output
    if tensor._family is None:
        tensor._family = Family()  # so that it enters recordings by way of `check_entering`
        tensor._family.add(tensor)


def check_entering(tensor: Handle) -> None:
    """RuntimeError where a restricted view enters a recording after its base was written."""
    storage = tensor._storage
    if tensor._seen is None or storage is None or not follows_base(tensor._meta):
        return
    if tensor._seen != storage.version:
        raise RuntimeError(refusal(tensor._meta, tensor._output, indirect=True))
