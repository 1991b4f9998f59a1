"""The likely fix for an op's error, from its message and the shapes and dtypes of its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from flambeau.record.meta import Meta

Rule = Callable[[str, str, Sequence[Meta]], str]
"""(op, message, metadata of its tensors) -> the hint, or nothing."""


def hint(op: str, message: str, metas: Sequence[Meta]) -> tuple[str, str]:
    """What to try, and the topic of `flambeau help` with more; empty where nothing is known."""
    for words, topic, rule in RULES:
        if words in message:
            found = rule(op, message, metas)
            if found:
                return found, topic
    return "", ""


def _product(op: str, message: str, metas: Sequence[Meta]) -> str:
    if len(metas) < 2:
        return ""
    a, b = metas[0].shape, metas[1].shape
    if op == "linear":
        if len(a) > 2 and prod(a[1:]) == b[1]:
            return "flatten what comes in: x.flatten(1), or nn.Flatten() in front of the layer"
        return f"the layer takes {b[1]} features, the last dimension of what comes in has {a[-1]}"
    if len(a) > 1 and len(b) > 1:
        if a[-1] == b[-1]:
            return "transpose the second matrix: b.mT"
        if a[-2] == b[-2]:
            return "transpose the first matrix: a.mT"
    return ""


def _images(op: str, message: str, metas: Sequence[Meta]) -> str:
    if len(metas) < 2 or not op.startswith("conv"):
        return ""
    x, weight = metas[0].shape, metas[1].shape
    channels, axes = weight[1], len(weight) - 2
    if len(x) == axes + 2 and x[-1] == channels:
        order = ", ".join(map(str, (0, axes + 1, *range(1, axes + 1))))
        return f"channels come second, behind the batch: x.permute({order})"
    if len(x) == axes + 1 and channels == 1:
        return "the channel is missing: x.unsqueeze(1) for a batch, x[None] for a single one"
    if len(x) == axes:
        return "batch and channel are missing: x[None, None]"
    return f"the layer takes {channels} channels"


def _dtypes(op: str, message: str, metas: Sequence[Meta]) -> str:
    if not metas:
        return ""
    if not metas[0].dtype.is_floating_point:
        return "convert what comes in: x.float()"
    if any(m.dtype.name == "float64" for m in metas):
        return (
            "NumPy's numbers are float64, parameters float32: x.float(), or dtype=torch.float32"
            " where the tensor is made"
        )
    return ""


def _classes(op: str, message: str, metas: Sequence[Meta]) -> str:
    if len(metas) > 1 and metas[1].dtype.is_floating_point and metas[1].shape == metas[0].shape[:1]:
        return "class numbers are integers: target.long()"
    return "class numbers are int64: target.long()"


def _one_hot(op: str, message: str, metas: Sequence[Meta]) -> str:
    if len(metas) < 2:
        return ""
    if metas[1].shape == metas[0].shape:
        return "one-hot targets are given as class numbers, target.argmax(1), or as target.float()"
    return "class numbers are one a row: target.squeeze(1)"


def _broadcast(op: str, message: str, metas: Sequence[Meta]) -> str:
    if len(metas) < 2:
        return ""
    a, b = metas[0].shape, metas[1].shape
    rows, single = (a, b) if len(a) > len(b) else (b, a)
    if len(single) == 1 and len(rows) > 1 and single[0] == rows[0]:
        return "shapes are laid over each other from the right: a column is v.unsqueeze(1)"
    return ""


def _said(text: str) -> Rule:
    return lambda op, message, metas: text


RULES: list[tuple[str, str, Rule]] = [
    ("shapes cannot be multiplied", "shapes", _product),
    ("Expected size for first two dimensions", "shapes", _product),
    ("channels, but got", "images", _images),
    ("(batched) input to conv", "images", _images),
    ("must have the same dtype", "dtypes", _dtypes),
    ("expected m1 and m2 to have the same dtype", "dtypes", _dtypes),
    ("should be the same", "dtypes", _dtypes),
    ("expected target dtype to be Long", "targets", _classes),
    ("multi-target not supported", "targets", _one_hot),
    ("The size of tensor a", "shapes", _broadcast),
    (
        "does not require grad and does not have a grad_fn",
        "gradients",
        _said(
            "nothing that it was computed from requires a gradient: was it under no_grad(), was"
            " something detached or made anew from numbers, are all parameters frozen?"
        ),
    ),
    (
        "only for scalar outputs",
        "gradients",
        _said("reduce the loss to one number, loss.mean(), or pass gradient="),
    ),
    (
        "backward through the graph a second time",
        "gradients",
        _said(
            "compute the loss anew in each step, detach() what is carried from one step to the"
            " next, or keep the graph: backward(retain_graph=True)"
        ),
    ),
    (
        "has been modified by an inplace operation",
        "in-place",
        _said("a new tensor instead of the in-place write: y = y + 1 instead of y += 1"),
    ),
    (
        "is being used in an in-place operation",
        "in-place",
        _said("write under torch.no_grad(), or make a new tensor: x = x + 1 instead of x += 1"),
    ),
    ("could not infer output dtype", "dtypes", _said("convert first: x.float()")),
    ("not implemented for 'Long'", "dtypes", _said("convert first: x.float()")),
    (
        "Found dtype Long but expected Float",
        "dtypes",
        _said("convert the target or what comes in: y.float()"),
    ),
    (
        "can't be cast to the desired output type Long",
        "dtypes",
        _said("convert the target: y.float()"),
    ),
    (
        "should be between 0 and 1",
        "targets",
        _said("torch.sigmoid() of the outputs, or BCEWithLogitsLoss in place of BCELoss"),
    ),
    (
        "is out of bounds.",
        "targets",
        _said("classes count from 0, and the last layer gives one score for each"),
    ),
    (
        "index out of range in self",
        "indices",
        _said("an Embedding of n rows takes the numbers 0 to n - 1"),
    ),
    (
        "more than 1 value per channel when training",
        "batch-norm",
        _said("a batch of one has no variance: drop_last=True in the DataLoader, or model.eval()"),
    ),
    (
        "Output size is too small",
        "images",
        _said("the image is smaller than the window: fewer poolings"),
    ),
    (
        "Kernel size can't be greater",
        "images",
        _said("the image is smaller than the window: padding="),
    ),
    (
        "Expected tensor for argument #1 'indices'",
        "indices",
        _said("an Embedding takes whole numbers: x.long()"),
    ),
]
