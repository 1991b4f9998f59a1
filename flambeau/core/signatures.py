"""The forms in which PyTorch's functions take their arguments, and what its parser of arguments
says of those that fit none.

Nothing here is asked as long as a call goes well. Where one has failed, `fault` goes through its
arguments as PyTorch's parser does before the call: the forms of a function in their order, the
arguments of a form one by one. `signatures.txt` is written by tools/make_signatures.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flambeau.core.calls import TENSOR
from flambeau.core.device import device
from flambeau.core.dtypes import FROM_PYTHON, DType
from flambeau.core.layout import Layout, MemoryFormat

# What messages call a type.
TYPE_WORDS = {
    "Tensor": "Tensor", "Scalar": "Number", "int64_t": "int", "SymInt": "int", "double": "float",
    "complex": "complex", "TensorList": "tuple of Tensors", "ITensorListRef": "tuple of Tensors",
    "c10::List<::std::optional<Tensor>>": "tuple of Tensors", "IntArrayRef": "tuple of ints",
    "SymIntArrayRef": "tuple of ints", "ArrayRef<double>": "tuple of floats",
    "Generator": "torch.Generator", "bool": "bool", "SymBool": "bool", "Storage": "torch.Storage",
    "PyObject*": "object", "ScalarType": "torch.dtype", "Layout": "torch.layout",
    "MemoryFormat": "torch.memory_format", "QScheme": "torch.qscheme", "Device": "torch.device",
    "c10::string_view": "str", "std::string_view": "str", "Dimname": "name",
    "DimnameList": "tuple of names", "ArrayRef<Scalar>": "tuple of Scalars", "Stream": "Stream",
}  # fmt: skip
_NUMPY_NAMES = {
    "dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",),
}  # fmt: skip
# Functions that take numbers as tensors.
_OF_NUMBERS = frozenset(
    f"{name}{end}"
    for name in "add div divide mul multiply sub subtract true_divide floor_divide".split()
    for end in ("", "_", "_out")
) | {"to", "_to_copy", "copy", "copy_", "_conj"}
MISSING = object()


class Parameter(NamedTuple):
    """One parameter of a form."""

    kind: str
    name: str
    size: int  # of a list: more than 0 where one element will do for all
    takes_none: bool
    optional: bool
    default: str
    keyword_only: bool

    @property
    def word(self) -> str:
        """What messages call its type."""
        return TYPE_WORDS.get(self.kind, self.kind)


class Signature(NamedTuple):
    """One form of a function."""

    name: str
    parameters: tuple[Parameter, ...]
    hidden: bool

    @property
    def positional(self) -> int:
        """How many arguments may be given by position."""
        return sum(not p.keyword_only for p in self.parameters)

    @property
    def least(self) -> int:
        """How many arguments must be given."""
        return sum(not p.optional for p in self.parameters)

    @property
    def printed(self) -> str:
        """The form in messages."""
        parts = []
        for place, one in enumerate(self.parameters):
            if one.keyword_only and (place == 0 or not self.parameters[place - 1].keyword_only):
                parts.append("*")
            parts.append(f"{one.word} {one.name}" + (f" = {one.default}" if one.default else ""))
        return f"({', '.join(parts)})"


_PARAMETER = re.compile(r"(?P<kind>[^\[? ]+)(?:\[(?P<size>\d*)\])?(?P<none>\?)? (?P<name>\w+)")


def parsed(form: str) -> Signature:
    """A form of `signatures.txt`."""
    text, _, mark = form.partition("|")
    name, _, inside = text[:-1].partition("(")
    parameters = []
    keyword_only = False
    for part in re.split(r", (?=[\w*:]+(?:<[^ ]*>)?[^ =]* \w|\*)", inside) if inside else ():
        if part == "*":
            keyword_only = True
            continue
        declared, _, default = part.partition("=")
        found = _PARAMETER.fullmatch(declared)
        if found is None:
            raise ValueError(f"cannot read {part!r} of {form!r}")
        kind = found["kind"]
        parameters.append(
            Parameter(
                kind,
                found["name"],
                int(found["size"] or 0),
                found["none"] is not None or part.endswith("=None"),
                "=" in part,
                default,
                keyword_only,
            )
        )
    return Signature(name, tuple(parameters), bool(mark))


@cache
def _table() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    path = Path(__file__).with_suffix(".txt")
    for line in path.read_text("utf-8").splitlines():
        kind, _, text = line.partition(" ")
        name, other, _ = text.partition("(")[0].partition("=")
        form = text[len(name) + 1 :] if other else text
        found.setdefault((kind, name), []).append(form)
    return found


@cache
def signatures(kind: str, name: str) -> tuple[Signature, ...]:
    """The forms of a function ("f"; "F": of torch.nn.functional), of a method ("m"), or of a
    function behind one that is Python ("c").
    """
    return tuple(parsed(form) for form in _table().get((kind, name), ()))


# ---- which arguments fit -------------------------------------------------------------------------


def is_tensor(given: Any) -> bool:
    return isinstance(given, TENSOR.kind)


def _is_float(given: Any) -> bool:
    if is_tensor(given):
        return not given.requires_grad and given.ndim == 0
    return isinstance(given, (float, int, np.bool_, np.integer, np.floating))


def _is_scalar(given: Any) -> bool:
    return isinstance(given, (complex, np.complexfloating)) or _is_float(given)


def _is_index(given: Any) -> bool:
    if isinstance(given, (bool, np.bool_)):
        return False
    try:
        given.__index__()
    except Exception:
        return False
    return True


def _is_int(given: Any) -> bool:
    if is_tensor(given):
        other = given.is_floating_point() or given.is_complex() or str(given.dtype)[6:] == "bool"
        return given.ndim == 0 and not other
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool)


def _is_size(given: Any) -> bool:
    return _is_int(given) or _is_index(given)


def _first_is(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def first(given: Any) -> bool:
        return isinstance(given, (tuple, list)) and (not given or check(given[0]))

    return first


def _is_name(given: Any) -> bool:
    return given is None or isinstance(given, str)


_PYTHON_TYPES = tuple(FROM_PYTHON)
_FITS: dict[str, Callable[[Any], bool]] = {
    "Tensor": is_tensor,
    "Scalar": _is_scalar,
    "complex": _is_scalar,
    "double": _is_float,
    "int64_t": _is_int,
    "SymInt": _is_size,
    "bool": lambda given: isinstance(given, (bool, np.bool_)),
    "ArrayRef<double>": _first_is(_is_scalar),
    "ArrayRef<Scalar>": _first_is(_is_scalar),
    "Dimname": _is_name,
    "DimnameList": _first_is(_is_name),
    "ScalarType": lambda given: (
        isinstance(given, DType) or (isinstance(given, type) and given in _PYTHON_TYPES)
    ),
    "Layout": lambda given: isinstance(given, Layout),
    "MemoryFormat": lambda given: isinstance(given, MemoryFormat),
    "Device": lambda given: isinstance(given, (str, device)) or _is_int(given),
    "c10::string_view": lambda given: isinstance(given, (str, bytes)),
    "Generator": lambda given: hasattr(given, "initial_seed"),
}
_FITS["SymBool"] = _FITS["bool"]
_FITS["std::string_view"] = _FITS["c10::string_view"]
_LISTS_OF_TENSORS = ("TensorList", "ITensorListRef", "c10::List<::std::optional<Tensor>>")


def fits(name: str, one: Parameter, place: int, given: Any) -> tuple[bool, int]:
    """Whether an argument fits a parameter; if not, which element of a list is at fault (or -1)."""
    kind = one.kind
    if kind == "Tensor":
        return is_tensor(given) or (name in _OF_NUMBERS and _is_scalar(given)), -1
    if kind in _LISTS_OF_TENSORS:
        if not isinstance(given, (tuple, list)):
            return False, -1
        for number, part in enumerate(given):
            if not is_tensor(part) and not (part is None and "optional" in kind):
                raise no_element(number, place, part)
        return True, -1
    if kind in ("IntArrayRef", "SymIntArrayRef"):
        if isinstance(given, (tuple, list)):
            fit = not given or _is_size(given[0])
            return fit, -1 if fit else 0
        single = _is_int if kind == "IntArrayRef" else _is_size
        return one.size > 0 and single(given), -1
    check = _FITS.get(kind)
    return check is None or check(given), -1


def no_element(number: int, place: int, part: Any) -> TypeError:
    """PyTorch's error for an element of a list of tensors that is none."""
    return TypeError(
        f"expected Tensor as element {number} in argument {place}, but got {type_word(part)}"
    )


def type_word(given: Any) -> str:
    """What messages call an argument's type; those made in C bear their module's name."""
    kind = given if isinstance(given, type) else type(given)
    if kind in (DType, Layout, MemoryFormat, device):
        return {"DType": "torch.dtype", "MemoryFormat": "torch.memory_format"}.get(
            kind.__name__, f"torch.{kind.__name__.lower()}"
        )
    if kind.__name__ == "Generator" and kind.__module__.startswith("flambeau."):
        return "torch._C.Generator"
    made_in_python = kind.__flags__ & (1 << 9) or kind.__module__ == "builtins"
    return kind.__name__ if made_in_python else f"{kind.__module__}.{kind.__name__}"


# ---- what does not fit ---------------------------------------------------------------------------


def tried(one: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TypeError | None:
    """What keeps a form from taking the arguments."""
    name, most, count = one.name, one.positional, len(args)
    varied = most == 1 and one.parameters[0].kind in ("IntArrayRef", "SymIntArrayRef")
    if count > most and not varied:
        return _too_many(one, count)
    left, at = len(kwargs), 0
    lists: list[tuple[Parameter, Any]] = []
    for place, parameter in enumerate(one.parameters):
        given, by_name = MISSING, False
        if at < count:
            if parameter.keyword_only:
                return _too_many(one, count)
            given = args[at]
        else:
            by_name = True
            for word in (parameter.name, *_NUMPY_NAMES.get(parameter.name, ())):
                if given is MISSING:
                    given = kwargs.get(word, MISSING)
        if given is MISSING:
            if not parameter.optional:
                return _too_few(one, place)
        elif not (given is None and parameter.takes_none):
            fit, element = fits(name, parameter, place, given)
            if not fit:
                if varied and at == 0 and not by_name:
                    if _is_size(args[0]):
                        lists.append((parameter, args))
                        at = count
                        continue
                    if count > 1:
                        return _too_many(one, count)
                return wrong(name, parameter, at, given, by_name, element)
            lists.append((parameter, given))
        if not by_name:
            at += 1
        elif given is not MISSING:
            left -= 1
    if left > 0:
        return _surplus(one, kwargs, count)
    for parameter, given in lists:
        _unpack(name, parameter, given)
    return None


def _unpack(name: str, parameter: Parameter, given: Any) -> None:
    """TypeError for a list of sizes whose first element is one, where another is not. (PyTorch has
    found its form then: no other one is tried.)
    """
    if parameter.kind in ("IntArrayRef", "SymIntArrayRef") and isinstance(given, (tuple, list)):
        for number, part in enumerate(given):
            if not isinstance(part, (bool, np.bool_)) and not _is_size(part):
                raise TypeError(
                    f"{name}(): argument '{parameter.name}' failed to unpack the object at pos "
                    f'{number + 1} with error "type must be {parameter.word},but got '
                    f'{type_word(part)}"'
                )


def _too_many(one: Signature, count: int) -> TypeError:
    least, most = one.least, one.positional
    if least != most:
        given = f"from {least} to {most} positional arguments but {count} were given"
    else:
        given = f"{most} positional argument{'s' * (most != 1)} but {count} " + (
            "was given" if count == 1 else "were given"
        )
    return TypeError(f"{one.name}() takes {given}")


def _too_few(one: Signature, place: int) -> TypeError:
    names = [f'"{p.name}"' for p in one.parameters[place:] if not p.optional]
    plural = "s" if len(names) == 1 else ""  # as PyTorch has it
    return TypeError(
        f"{one.name}() missing {len(names)} required positional argument{plural}: "
        + ", ".join(names)
    )


def wrong(
    name: str,
    parameter: Parameter,
    at: int,
    given: Any,
    by_name: bool = False,
    element: int = -1,
) -> TypeError:
    """PyTorch's error for an argument (the one at `at`) that does not fit its parameter, or one of
    whose elements does not.
    """
    what = f"{name}(): argument '{parameter.name}'" + ("" if by_name else f" (position {at + 1})")
    if element >= 0 and not by_name:
        return TypeError(
            f"{what} must be {parameter.word}, but found element of type "
            f"{type_word(given[element])} at pos {element}"
        )
    return TypeError(f"{what} must be {parameter.word}, not {type_word(given)}")


def _surplus(one: Signature, kwargs: Mapping[str, Any], count: int) -> TypeError:
    names = [p.name for p in one.parameters]
    for word in kwargs:
        if word not in names:
            return TypeError(f"{one.name}() got an unexpected keyword argument '{word}'")
        if names.index(word) < count:
            return TypeError(f"{one.name}() got multiple values for argument '{word}'")
    return TypeError("invalid keyword arguments")


def fault(kind: str, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TypeError | None:
    """What PyTorch's parser says of a call; None where a form takes it (or none is known)."""
    forms = signatures(kind, name)
    found: list[TypeError] = []
    try:
        for one in forms:  # (in this order: what a later form makes of a list is not asked)
            error = tried(one, args, kwargs)
            if error is None:
                return None
            found.append(error)
    except TypeError as error:
        return error
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    count = len(args) + len(kwargs)
    likely = [
        error
        for one, error in zip(forms, found)
        if len(one.parameters) >= count >= one.least and not one.hidden
    ]
    if len(likely) == 1:
        return likely[0]
    given = [type_word(part) for part in args]
    # (A form without positional arguments leaves the last comma.)
    given += [f"{word}={type_word(part)}" for word, part in reversed(list(kwargs.items()))]
    said = ", ".join(given) + ("" if args or not kwargs else ", ")
    shown = [one for one in forms if not one.hidden]
    if len(shown) == 1:
        names = {p.name for p in shown[0].parameters}
        unknown = [word for word in kwargs if word not in names]
        what = f"got ({said}), but expected {shown[0].printed}"
        if unknown:
            what = f"got unrecognized keyword arguments: {', '.join(unknown)}"
        return TypeError(f"{name}() received an invalid combination of arguments - {what}")
    listed = "".join(f" * {one.printed}\n" for one in shown)
    return TypeError(
        f"{name}() received an invalid combination of arguments - got ({said}), but expected one "
        f"of:\n{listed}"
    )
