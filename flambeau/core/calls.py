"""Which call of the user's a mistake is in: the public function nearest to the user among those
that are running, and what PyTorch's parser says of its arguments.

Nothing of this costs a call that goes well anything. Frames are looked at where an error has been
found; see `signatures.py` for what is said then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

_SPACES: list[Mapping[str, Any]] = []
_METHODS: list[Mapping[str, Any]] = []
# What stands before the names of a module's functions in messages.
_ROOMS = {
    "flambeau.linalg": "linalg_", "flambeau.fft": "fft_", "flambeau.special": "special_",
    "flambeau.nn.functional": "F",
}  # fmt: skip


_WRAPPERS = "flambeau.tensor.overriding"  # what stands around functions, once a subclass takes over
# Layers that leave no argument out.
_THOROUGH = ("flambeau.nn.modules.conv", "flambeau.nn.modules.pooling")


class _Tensors:
    """What the floors above call a tensor."""

    kind: Any = ()


TENSOR = _Tensors()


class Call(NamedTuple):
    """A public function that is running: "f" (a function), "F" (one of torch.nn.functional) or "m"
    (a method).
    """

    kind: str
    name: str
    frame: FrameType


def add_space(space: Mapping[str, Any]) -> None:
    """Functions in a module's namespace are public ones."""
    _SPACES.append(space)


def set_tensor_class(kind: type) -> None:
    """The tensor floor says what a tensor is; functions in its namespace are methods."""
    TENSOR.kind = kind
    _METHODS[:] = [vars(kind)]


def as_method(function: Any) -> Any:
    """A function as a member of Tensor: one with code of its own, so that a frame tells a method
    from the function that does the same.
    """
    if type(function) is not FunctionType:
        return function
    made = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    made.__doc__, made.__module__ = function.__doc__, function.__module__
    made.__qualname__, made.__annotations__ = function.__qualname__, function.__annotations__
    return made


def _plain(value: Any) -> Any:
    """A function without what `__torch_function__` has put around it."""
    own = getattr(value, "__dict__", None)
    return own.get("_plain", value) if isinstance(own, dict) else value


def _called(frame: FrameType) -> list[Call]:
    """The public function that a frame runs, as a method or in each room that has it (`relu` is one
    of torch and one of torch.nn.functional, which takes more); [] where it is an inner one.
    """
    from flambeau.core import signatures
    from flambeau.core.python_functions import steps

    code = frame.f_code
    for members in _METHODS:
        for name, value in members.items():
            found = _plain(value)
            if getattr(found, "__code__", None) is code and _same_cells(found, frame):
                return [Call("m", name, frame)]
    inner = frame.f_locals.get("function") if code.co_name == "call" else None
    calls: dict[str, Call] = {}
    for space in _SPACES:
        room = _ROOMS.get(space["__name__"], "")
        for name, value in space.items():
            found = _plain(value)
            own = getattr(found, "__code__", None)
            if own is None or name.startswith("_"):
                continue
            if inner is not None:
                if own is not code or getattr(found, "__wrapped__", None) is not inner:
                    continue
            elif own is not code or not _same_cells(found, frame):
                continue
            call = Call("F" if room == "F" else "f", ("" if room == "F" else room) + name, frame)
            known = signatures.signatures(*call[:2]) or steps(*call[:2]) is not None
            own_name = call.name == found.__name__  # not another one that it has, too
            if known and (own_name or call.kind not in calls):
                calls[call.kind] = call
    # (Layers, and most programs, use that of torch.nn.functional.)
    return sorted(calls.values(), key=lambda call: call.kind != "F")


def _same_cells(function: FunctionType, frame: FrameType) -> bool:
    """Whether a frame runs this function, of those that one factory has made."""
    names = function.__code__.co_freevars
    values = frame.f_locals
    for name, cell in zip(names, function.__closure__ or ()):
        try:
            if values.get(name) is not cell.cell_contents:
                return False
        except ValueError:  # empty as yet
            return False
    return True


def _arguments(call: Call) -> tuple[list[Any], dict[str, Any]]:
    """What a function was called with, as far as its frame tells: arguments that have their default
    value count as left out where nothing follows them. (Nor does it tell those that were given by
    name: what PyTorch takes by name alone was.)
    """
    from flambeau.core.signatures import signatures

    forms = signatures(call.kind, call.name)
    by_name = {p.name for form in forms for p in form.parameters if p.keyword_only}
    by_name -= {p.name for form in forms for p in form.parameters if not p.keyword_only}
    frame = call.frame
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames
    count, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    missing = object()
    defaults = _defaults(_function_of(code))
    given: list[tuple[str, Any, bool]] = []
    for name in names[:count]:
        default = defaults.get(name, missing)
        value = values.get(name, default)
        given.append((name, value, default is not missing and value is default))
    kwargs: dict[str, Any] = {}
    args: list[Any] = []
    rest: Iterable[Any] = ()
    if code.co_flags & 4:
        rest = values.get(names[last], ())
    gap = False
    above = frame.f_back
    while above is not None and above.f_globals.get("__name__") == _WRAPPERS:
        above = above.f_back
    layer = above is not None and above.f_globals.get("__name__") in _THOROUGH
    for name, value, default in given:
        left_out = default and not layer
        if name in by_name:
            if not left_out:
                kwargs[name] = value
        elif left_out and not rest:
            gap = True
        elif gap:
            kwargs[name] = value
        else:
            args.append(value)
    args += rest
    for name in names[count:last]:
        value = values.get(name)
        if value is not defaults.get(name, missing):
            kwargs[name] = value
    if code.co_flags & 8:
        kwargs.update(values.get(names[last + bool(code.co_flags & 4)], {}))
    return args, kwargs


def _function_of(code: CodeType) -> Any:
    for space in (*_METHODS, *_SPACES):
        for value in space.values():
            found = _plain(value)
            if getattr(found, "__code__", None) is code:
                return found
    return None


def _values(call: Call) -> Mapping[str, Any]:
    """The arguments of a function by their names."""
    values = call.frame.f_locals
    inner = values.get("function") if call.frame.f_code.co_name == "call" else None
    if inner is None:
        return values
    code = inner.__code__
    names = code.co_varnames[: code.co_argcount]
    found = dict(zip(names, values["args"]))
    if code.co_flags & 4:
        found[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = values["args"]
    return {**found, **values["kwargs"]}


def _attribute_fault(value: Any, attribute: str) -> Exception | None:
    """What Python says where an operand is asked for a tensor's method and is none."""
    from flambeau.core import signatures

    kind = signatures.type_word(value)
    if not hasattr(value, attribute):
        return AttributeError(f"'{kind}' object has no attribute '{attribute}'")
    if not callable(getattr(value, attribute)):
        kind = signatures.type_word(getattr(value, attribute))
        return TypeError(f"'{kind}' object is not callable")
    return None


def _list_fault(call: Call, step: str, given: Any) -> Exception | None:
    """Of operands one by one, or (`**`) in a list."""
    from flambeau.core import signatures

    if step[1] == "*" and len(given) == 1:
        given = given[0]
        if not isinstance(given, (tuple, list)):
            found = signatures.fault("c", call.name, (given,), {})
            return found or signatures.no_element(0, 0, given)
    for number, part in enumerate(given):
        if not signatures.is_tensor(part):
            return signatures.no_element(number, 0, part)
    return None


_NUMBERS = ("bool", "int64_t", "SymInt", "double", "Scalar")


def _form_fault(name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Of the arguments that bear the names of what a function in C takes."""
    from flambeau.core import signatures

    for form in signatures.signatures("c", name)[:1]:
        for place, one in enumerate(form.parameters):
            value = values.get(one.name, signatures.MISSING)
            if value is signatures.MISSING or (value is None and one.takes_none):
                continue
            if one.kind in _NUMBERS and (
                one.name == "reduction" or value is defaults.get(one.name)
            ):
                continue  # a word here; what Python makes of its own default
            fits, element = signatures.fits(name, one, place, value)
            if not fits and one.kind in ("Tensor", "IntArrayRef", "SymIntArrayRef", *_NUMBERS):
                by_name = one.keyword_only
                return signatures.wrong(name, one, place, value, by_name, element)
    return None


def _call_fault(step: str, values: Mapping[str, Any]) -> Exception | None:
    """Of `function(names of arguments)` or `operand.method(names)`: a call by position."""
    from flambeau.core import signatures

    name, _, names = step[:-1].partition("(")
    operand, dot, method = name.rpartition(".")
    if dot:
        value = values.get(operand)
        if not signatures.is_tensor(value):
            return _attribute_fault(value, method)
    # (A reduction is a number there.)
    given = [0 if part == "reduction" else values.get(part) for part in names.split(",") if part]
    return signatures.fault("m" if dot else "f", method if dot else name, given, {})


def _reduction_fault(values: Mapping[str, Any]) -> Exception | None:
    given = values.get("reduction")
    if isinstance(given, str) or any(values.get(n) is not None for n in ("size_average", "reduce")):
        return None
    return ValueError(f"{given} is not a valid value for reduction")


def _first_fault(call: Call, asked: Iterable[str]) -> Exception | None:
    """The first mistake that a function which is Python in PyTorch meets."""
    from flambeau.core import signatures

    values = _values(call)
    for step in asked:
        name, dot, attribute = step.partition(".")
        found: Exception | None
        if name[0] == "*":
            found = _list_fault(call, step, values.get(name.strip("*"), ()))
        elif step == "reduction":
            found = _reduction_fault(values)
        elif step[-1] == ")":
            found = _call_fault(step, values)
        elif dot:
            value = values.get(name, signatures.MISSING)
            absent = value is signatures.MISSING or signatures.is_tensor(value)
            found = None if absent else _attribute_fault(value, attribute)
        else:
            function = call.frame.f_locals.get("function") or _function_of(call.frame.f_code)
            found = _form_fault(name, values, _defaults(function))
        if found is not None:
            return found
    return None


def _defaults(function: Any) -> dict[str, Any]:
    """What a function's parameters are where they are left out."""
    if function is None:
        return {}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = function.__defaults__ or ()
    found = dict(zip(names[len(names) - len(given) :], given))
    found.update(function.__kwdefaults__ or {})
    return found


def misgiven() -> Exception | None:
    """What PyTorch says of the arguments of the call that runs; None where it takes them."""
    frame: FrameType | None = sys._getframe(1)
    frames = []
    while frame is not None and frame.f_globals.get("__name__", "").startswith("flambeau"):
        frames.append(frame)
        frame = frame.f_back
    for frame in reversed(frames):
        calls = _called(frame)
        if calls:
            found = [_fault(call) for call in calls]
            return None if None in found else found[0]
    return None


def _fault(call: Call) -> Exception | None:
    from flambeau.core import signatures
    from flambeau.core.python_functions import steps

    if call.name.startswith("__"):
        return None  # an operator, which asks the other operand
    asked = steps(call.kind, call.name)
    if asked is not None:
        return _first_fault(call, asked)
    args, kwargs = _arguments(call)
    if call.kind == "m":
        args = args[1:]
    return signatures.fault(call.kind, call.name, args, kwargs)


def refuse_misgiven() -> None:
    """Raises what PyTorch says of the arguments of the call that runs, if it refuses them."""
    error = misgiven()
    if error is not None:
        raise error from None
