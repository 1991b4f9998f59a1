"""Native functions on disk: a later process has them without translating them.

What is translated is kept by the functions' byte code, the numbers that are part of it, the
interpreter, the state of the translator's files, and all that object code is kept by (objects.py).
Addresses are no part of it: they are in words of the module, which are filled in each process.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flambeau.execute.cpu.engine import engine
from flambeau.execute.cpu.objects import object_key
from flambeau.execute.cpu.sources import compiler_sources
from flambeau.execute.cpu.target import KernelCompileError
from flambeau.execute.cpu.word_functions import Module, translated

Functions = Sequence[Callable[..., Any]]
GIVEN = "given"


class Loaded(NamedTuple):
    """The addresses of the entries, and of the words that the code finds in `given`: their names
    say what these must be.
    """

    addresses: list[int]
    place: int
    given: Sequence[str]


def loaded(entries: Functions, inlined: Functions, numbers: Mapping[str, int]) -> Loaded:
    """Functions on words (see `word_functions`) as machine code, from the disk or translated now.

    OSError where there is no source to translate, NoRoomForCode where there is none for code.
    """
    key, symbols = _key(entries, inlined, numbers), (*(f.__name__ for f in entries), GIVEN)
    found = None if key is None else _kept(key, symbols)
    if found is not None:
        return found
    module = None if key is None else _begun.pop(key, None)
    if module is None:
        module = translated(entries, inlined, numbers)
    *addresses, place = engine().load([module.text], symbols)[0]
    store = engine().cache
    if key is not None and store is not None:
        code = object_key(module.text, engine().target).hex()
        store.put(key, json.dumps({"functions": code, "given": module.given}).encode())
    return Loaded(addresses, place, module.given)


def begin(entries: Functions, inlined: Functions, numbers: Mapping[str, int]) -> None:
    """Compiles on another thread what `loaded` will be asked for soon, unless the disk has it."""
    key, store = _key(entries, inlined, numbers), engine().cache
    if key is None or store is None or store.path(key).exists():
        return
    with contextlib.suppress(OSError):
        _begun[key] = translated(entries, inlined, numbers)
        engine().begin(_begun[key].text)


_begun: dict[bytes, Module] = {}


def _kept(key: bytes, symbols: tuple[str, ...]) -> Loaded | None:
    """The functions from the disk; None where they are not there, or not as they should be."""
    store = engine().cache
    payload = None if store is None else store.get(key)
    if payload is None:
        return None
    try:
        entry = json.loads(payload)
        given = [str(name) for name in entry["given"]]
        found = engine().load_stored([bytes.fromhex(entry["functions"])], symbols)
    except (ValueError, TypeError, LookupError, KernelCompileError):
        return None  # no entry of ours
    if found is None:
        return None
    *addresses, place = found[0]
    return Loaded(addresses, place, given)


def _key(entries: Functions, inlined: Functions, numbers: Mapping[str, int]) -> bytes | None:
    """32 bytes that name what the functions are translated to; None where nothing is kept."""
    sources = compiler_sources()
    if engine().cache is None or sources is None:
        return None
    codes = [[_spelled(function) for function in functions] for functions in (entries, inlined)]
    spelled = repr((sources, sys.implementation.cache_tag, codes, sorted(numbers.items())))
    return object_key(f"functions {spelled}", engine().target)


def _spelled(function: Callable[..., Any]) -> tuple[Any, ...]:
    """All of a function's code but where it stands; what is said in words in it does not count."""
    code = function.__code__
    consts = tuple("" if isinstance(const, str) else const for const in code.co_consts)
    names = code.co_name, code.co_names, code.co_varnames
    return (*names, code.co_argcount, code.co_code, consts)
