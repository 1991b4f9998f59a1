"""Why something was recorded anew, in plain words: the key that was not known beside those that
were.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flambeau.explaining.collector import Miss
from flambeau.record.meta import Meta
from flambeau.record.places import Place
from flambeau.record.tree import State


@dataclass
class Reason:
    """Why recordings were new: the sentence, how often, and what it has cost in seconds."""

    text: str
    kind: str  # first, shape, dtype, value, tensor, path, mode, longer
    place: str
    count: int = 1
    events: int = 0
    recording: float = 0.0
    first: float = 0.0
    more: int = 0  # sentences that differ from this one in numbers only
    programs: tuple[int, ...] = ()


def shown_file(file: str) -> str:
    """A file's path, relative to the program's folder, or where it was started, if it is below."""
    folders = [os.path.abspath(sys.path[0])] if sys.path and sys.path[0] else []
    for folder in (*folders, os.getcwd()):
        if file.startswith(folder.rstrip(os.sep) + os.sep):
            return os.path.relpath(file, folder)
    return file


def shown(place: Place | None) -> str:
    if place is None:
        return ""
    within = f", in {place.module}" if place.module else ""
    return f"{shown_file(place.file)}:{place.line}{within}"


def reasons(misses: Sequence[Miss]) -> list[Reason]:
    """The misses in words, in the order of the first of each kind; what was to be expected last."""
    found: dict[tuple[str, str], Reason] = {}
    texts: dict[tuple[str, str], set[str]] = {}
    for miss in misses:
        kind, text = explained(miss.before, miss.first, miss.siblings)
        where = shown(miss.first.place)
        key = re.sub(r"\d+(\.\d+)?", "0", text), where
        known = found.get(key)
        if known is None:
            known = found[key] = Reason(text, kind, where, 0, first=miss.at)
        texts.setdefault(key, set()).add(text)
        known.more = len(texts[key]) - 1
        known.count += 1
        known.events += miss.events
        known.recording += miss.seconds
        if miss.program >= 0 and len(known.programs) < 20:
            known.programs = (*known.programs, miss.program)
    return sorted(found.values(), key=lambda r: (r.kind == "first", r.first))


def explained(before: State, new: State, siblings: Sequence[State]) -> tuple[str, str]:
    """(kind, sentence) of a miss."""
    if not siblings:
        if before.parent is None or not (before.plans or before.parent.next):
            return "first", f"the first time that {_what(new)} is recorded"
        if before.plans:
            return "longer", (
                f"earlier steps ended before this point; this one goes on with {_what(new)}"
            )
        return "first", f"the first time that {_what(new)} is recorded"
    best = max(siblings, key=lambda other: _likeness(new, other))
    kind, text = difference(new, best)
    if before.parent is None and (kind == "path" or best.place != new.place):
        return "first", f"the first recording that begins with {_what(new)}"
    return kind, text


def _what(state: State) -> str:
    key = state.key
    if isinstance(key, Meta):
        return f"a tensor {_meta(key)}"
    if key[0].enters:
        return "a group of tensors" if len(key) == 2 else "another view of a tensor"
    return f"`{key[0].name}`"


def _meta(meta: Meta) -> str:
    return f"{meta.dtype.name}{list(meta.shape)}"


def _likeness(a: State, b: State) -> tuple[int, int, int]:
    """How alike two events are: kind, place, operands."""
    ka, kb = a.key, b.key
    if isinstance(ka, Meta) or isinstance(kb, Meta):
        if not (isinstance(ka, Meta) and isinstance(kb, Meta)):
            return 0, a.place == b.place, 0
        alike = sum(x == y for x, y in zip(ka.shape, kb.shape)) + (ka.dtype is kb.dtype)
        return 1 + (len(ka.shape) == len(kb.shape)), a.place == b.place, alike
    same = sum(x == y for x, y in zip(ka[1:], kb[1:]))
    return 2 * (ka[0] is kb[0]), a.place == b.place, same


def difference(new: State, old: State) -> tuple[str, str]:
    """(kind, sentence): what is not the same in two events at one point of a step."""
    a, b = new.key, old.key
    if isinstance(a, Meta) and isinstance(b, Meta):
        return metas_differ(a, b)
    if isinstance(a, Meta) or isinstance(b, Meta) or a[0] is not b[0]:
        at = shown(old.place)
        there = f" (at {at})" if at and old.place != new.place else ""
        if isinstance(b, Meta) or (not isinstance(b, Meta) and b[0].enters):
            return "path", f"{_what(new)} comes where another tensor came into play before{there}"
        return "path", f"the program takes another way: {_what(new)}, not {_what(old)}{there}"
    if a[0].enters:
        return _entries_differ(a, b)
    return _operands_differ(a, b)


def metas_differ(a: Meta, b: Meta) -> tuple[str, str]:
    if a.dtype is not b.dtype:
        return "dtype", f"a tensor is {a.dtype.name}, not {b.dtype.name}"
    if a.shape != b.shape:
        if len(a.shape) != len(b.shape):
            return "shape", f"a tensor has shape {list(a.shape)}, not {list(b.shape)}"
        axes = [n for n, (x, y) in enumerate(zip(a.shape, b.shape)) if x != y]
        if axes == [0] and len(a.shape) > 1:
            return "shape", f"a batch has {a.shape[0]} rows, not {b.shape[0]} ({_meta(a)})"
        if len(axes) == 1:
            axis = axes[0]
            return "shape", (
                f"axis {axis} of a tensor has {a.shape[axis]} elements, not {b.shape[axis]}"
                f" ({_meta(a)})"
            )
        return "shape", f"a tensor has shape {list(a.shape)}, not {list(b.shape)}"
    if a.requires_grad != b.requires_grad:
        word = "requires" if a.requires_grad else "does not require"
        return "mode", f"a tensor {_meta(a)} {word} a gradient now"
    if a.strides != b.strides:
        return "shape", (
            f"a tensor {_meta(a)} lies in memory with strides {list(a.strides)}, not"
            f" {list(b.strides)}"
        )
    return "tensor", f"a tensor {_meta(a)} has another history than before"


def _entries_differ(a: Any, b: Any) -> tuple[str, str]:
    for x, y in zip(_flat(a[1:]), _flat(b[1:])):
        if isinstance(x, Meta) and isinstance(y, Meta) and x is not y:
            return metas_differ(x, y)
    if len(_flat(a[1:])) != len(_flat(b[1:])):
        return "tensor", "other tensors enter together than before"
    return "tensor", "a view begins at another place of its memory"


def _flat(parts: Any) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        metas = getattr(part, "metas", part)
        if isinstance(metas, tuple):
            found += _flat(metas)
        else:
            found.append(metas)
    return found


def _operands_differ(a: Any, b: Any) -> tuple[str, str]:
    name = a[0].name
    if a[-1] != b[-1]:
        return _attributes_differ(name, a[-1], b[-1])
    for x, y in zip(a[1:-1], b[1:-1]):
        if x == y:
            continue
        if isinstance(x, type) and isinstance(y, type):
            return "value", f"`{name}` with a Python {x.__name__}, not a {y.__name__}"
        if isinstance(x, bool) or isinstance(y, bool):
            return "mode", f"`{name}` with {x}, not {y}"
        if x is None or y is None:
            return "path", f"`{name}` with{'out' if x is None else ''} an operand that is optional"
        if isinstance(x, type) != isinstance(y, type):
            now, then = ("number", "tensor") if isinstance(x, type) else ("tensor", "number")
            return "value", f"`{name}` takes a {now} where it took a {then}"
        return "tensor", f"`{name}` takes another tensor of this step than before"
    return "tensor", f"`{name}` takes other operands than before"


def _attributes_differ(name: str, a: Any, b: Any) -> tuple[str, str]:
    """What of an op's attributes is not the same; sizes stand in tuples of integers."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        if name == "random" and isinstance(a[0], str):
            name = a[0]
        a, b = zip(*[(x, y) for x, y in zip(a, b) if x != y or type(x) is not type(y)])
        if len(a) == 1:
            a, b = a[0], b[0]
            if isinstance(a, tuple) and all(isinstance(n, int) for n in a):
                return "shape", f"`{name}` with sizes {list(a)}, not {_shortened(b)}"
    return "value", f"`{name}` with {_shortened(a)}, not {_shortened(b)}"


def _shortened(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) < 80 else text[:77] + "..."
