"""Writes flambeau/core/signatures.txt: the forms in which PyTorch's functions take their arguments.

    python tools/make_signatures.py            # with PyTorch installed

PyTorch's parser of arguments is made from one line a form, `squeeze(Tensor input, int64_t dim)`,
which its library keeps. Which forms a function has, and in what order they are tried, is what it
answers to forty arguments. A line here is a kind (`f` a function, `F` one of torch.nn.functional,
`m` a method, `c` one behind a function that is Python), and the form, with the public name in front
where that is another one; the forms of a function stand together.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import flambeau
import flambeau.fft
import flambeau.linalg
import flambeau.nn.functional
import flambeau.special
from flambeau.core.calls import TENSOR
from flambeau.core.python_functions import inner_names
from flambeau.core.signatures import TYPE_WORDS, parsed, tried

TARGET = Path(flambeau.__file__).parent / "core" / "signatures.txt"
FORM = re.compile(rb"(?<![\w(])([A-Za-z_]\w*\([ -~]*?\)(?:\|deprecated|\|hidden)?)\x00")
ANY = object()
MANY = [ANY] * 40


def is_form(text: str) -> bool:
    """Whether this is a form, and not some other text with parentheses."""
    try:
        return all(one.kind in TYPE_WORDS for one in parsed(text).parameters)
    except ValueError:
        return False


def kept_forms() -> dict[str, list[str]]:
    """The forms in the library by the names that they may belong to: one that is the end of another
    is kept as that end.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_python.so"
    found: dict[str, list[str]] = defaultdict(list)
    for line in dict.fromkeys(text.decode() for text in FORM.findall(library.read_bytes())):
        if not is_form(line):
            continue
        name = line.partition("(")[0]
        for start in range(len(name)):
            form = line[start:]
            if form not in found[name[start:]]:
                found[name[start:]].insert(0 if not start else len(found[name[start:]]), form)
    return found


def forms_of(function: Any, first: tuple[Any, ...], kept: list[str]) -> list[str]:
    """The forms of a function in the order in which they are tried."""
    try:
        function(*first, *MANY)
    except TypeError as error:
        said = str(error)
    except Exception:
        return []
    else:
        return []
    if " but expected " in said:
        options = [line[3:] for line in said.splitlines() if line.startswith(" * (")]
        options = options or [said.partition(" but expected ")[2]]
        found = [
            next((form for form in kept if parsed(form).printed == option), None)
            for option in options
        ]
        hidden = [form for form in kept if parsed(form).hidden and ("input" in form) != bool(first)]
        return [*hidden, *[form for form in found if form]] if None not in found else []
    counts = re.match(r"\w+\(\) takes (?:from )?(\d+)(?: to (\d+))? positional", said)
    if counts is None:
        return []
    for form in kept:
        one = parsed(form)
        for given, named in probes(one.least, one.positional):
            fault = tried(one, given, named)
            if fault is not None and said_of(function, (*first, *given), named) != str(fault):
                break
        else:
            return [form]
    return []


def probes(least: int, most: int) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Calls that no form takes."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {"no_such": 1}), ((ANY,) * 40, {})]
    tensor = torch.ones(2)
    calls += [((tensor,) * count + (ANY,) * (most - count), {}) for count in range(most)]
    return [*calls, ((ANY,) * least, {})]


def said_of(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> str:
    """PyTorch's message for a call."""
    try:
        function(*args, **options)
    except Exception as error:
        return str(error)
    return ""


def functions() -> Iterator[tuple[str, str, Any, tuple[Any, ...]]]:
    """Kind, name, function, and what a call begins with; not of what is Python in PyTorch."""
    for prefix, room, here in (
        ("", torch, flambeau),
        ("linalg_", torch.linalg, flambeau.linalg),
        ("fft_", torch.fft, flambeau.fft),
        ("special_", torch.special, flambeau.special),
        (None, torch.nn.functional, flambeau.nn.functional),
    ):
        for name in sorted(n for n in dir(room) if n[0] != "_" and hasattr(here, n)):
            function = getattr(room, name)
            if isinstance(function, (BuiltinFunctionType, BuiltinMethodType)):
                yield "F" if prefix is None else "f", (prefix or "") + name, function, ()
    for name in sorted(inner_names()):
        rooms: tuple[Any, ...] = (torch._C._nn, torch._C._VariableFunctions)
        yield "c", name, next(getattr(r, name) for r in rooms if hasattr(r, name)), ()
    for name in sorted(n for n in dir(torch._C.TensorBase) if hasattr(flambeau.Tensor, n)):
        function = getattr(torch.Tensor, name)
        if callable(function) and not isinstance(function, FunctionType):
            yield "m", name, function, (torch.ones(2),)


def main() -> None:
    TENSOR.kind = torch.Tensor
    warnings.simplefilter("ignore")
    kept = kept_forms()
    lines: list[str] = []
    for kind, name, function, first in functions():
        inside = name if name in kept else getattr(function, "__name__", name)
        mark = "" if inside == name else f"{name}="
        forms = forms_of(function, first, kept.get(inside, []))
        lines += [f"{kind} {mark}{form}" for form in forms]
    TARGET.write_text("\n".join(dict.fromkeys(lines)) + "\n", "utf-8")
    print(len(lines), "forms")


if __name__ == "__main__":
    main()
