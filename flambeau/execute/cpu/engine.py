"""From kernel texts to code in this process: each once, compiled in parallel, never unloaded."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flambeau.core.outcome import Outcome
from flambeau.core.workers import Workers, start_thread
from flambeau.execute.cpu import bounds, code_memory, software_float
from flambeau.execute.cpu.binaries import Binaries, is_binary, unpacked
from flambeau.execute.cpu.imports import system_symbol
from flambeau.execute.cpu.objects import ObjectCache, default_cache, object_key
from flambeau.execute.cpu.target import (
    KernelCompileError,
    NoRoomForCode,
    Target,
    compile_object,
    complaint,
)

if TYPE_CHECKING:
    from flambeau.execute.cpu.jit import Jit

KERNEL = "kernel"
COMPILE_THREADS = 8
# Each linked program takes some; other threads and libraries need the rest.
LINKS_PER_COUNT, MOST_OF_THE_MAPPINGS = 64, 0.75

Symbols = tuple[str, ...]
T = TypeVar("T")


class Engine:
    """The code loaded into this process, and the way to load more. One per process: `engine()`."""

    def __init__(self, target: Target, cache: ObjectCache | None) -> None:
        self.target = target
        self.cache = cache
        self._binaries = Binaries(self._import)
        self._jit: Jit | None = None  # where code is no binary
        self._libraries = 0
        self._full = False
        self._software_float: dict[str, int] | None = None
        self.lock = threading.RLock()
        # Finished and running loads; a loader that fails takes its entry out again.
        self._loads: dict[tuple[bytes, Symbols], Outcome[list[int]]] = {}
        self._read: dict[bytes, bytes] = {}  # object code from the disk that is about to be linked
        self._stored: dict[bytes, bytes] = {}  # and such as is being linked
        self.workers = _workers()
        self._begun: dict[bytes, Outcome[bytes | BaseException]] = {}  # what they compile

    def load(self, texts: Sequence[str], symbols: Symbols) -> list[list[int]]:
        """Addresses of `symbols` in each text's module, compiling and linking what is missing.

        Raises KernelCompileError naming the first text that LLVM refuses.
        """
        return self._load_guarded(texts, [object_key(text, self.target) for text in texts], symbols)

    def load_stored(self, keys: Sequence[bytes], symbols: Symbols) -> list[list[int]] | None:
        """As `load`, of texts that were compiled earlier, by their keys; None where one of them is
        not on the disk any more.
        """
        for key in keys:
            if (key, symbols) not in self._loads and key not in self._read:
                code = None if self.cache is None else self.cache.get(key)
                if code is None:
                    return None
                self._read[key] = code
        return self._load_guarded([""] * len(keys), keys, symbols)

    def _load_guarded(
        self, texts: Sequence[str], keys: Sequence[bytes], symbols: Symbols
    ) -> list[list[int]]:
        known = [self._loads.get((key, symbols)) for key in keys]
        loaded = [found.result() for found in known if found is not None and found.done()]
        if len(loaded) == len(keys):
            return loaded
        return _uninterrupted(partial(self._load, texts, keys, symbols))

    def _load(
        self, texts: Sequence[str], keys: Sequence[bytes], symbols: Symbols
    ) -> list[list[int]]:
        mine: dict[bytes, str] = {}
        with self.lock:
            for key, text in zip(keys, texts, strict=True):
                if (key, symbols) not in self._loads:
                    self._loads[key, symbols] = Outcome()
                    mine[key] = text
            waiting = [self._loads[key, symbols] for key in keys]
        if mine:
            self._load_missing(mine, symbols)
        return [outcome.result() for outcome in waiting]

    def _load_missing(self, texts: dict[bytes, str], symbols: Symbols) -> None:
        """Settles the outcome of every text: code from the cache or compiled, then linked."""
        outcomes = {key: self._loads[key, symbols] for key in texts}
        results: dict[bytes, list[int] | BaseException] = {}
        try:
            self._find_room()
            codes: dict[bytes, bytes] = {}
            for key, code in self._objects(texts):
                if isinstance(code, BaseException):
                    results[key] = code
                else:
                    codes[key] = code
            results |= self._link_all(texts, codes, symbols)
            for key in codes:
                self._stored.pop(key, None)
        except BaseException as error:
            results = dict.fromkeys(texts, error)
            raise
        finally:
            for key, result in results.items():
                if isinstance(result, BaseException):
                    with self.lock:
                        self._loads.pop((key, symbols), None)
                    outcomes[key].set_exception(result)
                else:
                    outcomes[key].set_result(result)

    def _objects(self, texts: dict[bytes, str]) -> Iterable[tuple[bytes, bytes | BaseException]]:
        """Object code (or the failure) of each text; several are compiled in parallel."""
        missing = []
        for key in texts:
            payload = self._read.pop(key, None)
            if payload is None and self.cache is not None and key not in self._begun:
                payload = self.cache.get(key)
            if payload is None:
                missing.append(key)
            else:
                self._stored[key] = payload
                yield key, payload
        if len(missing) == 1 and missing[0] not in self._begun:
            yield missing[0], self._compile(missing[0], texts[missing[0]])
            return
        outcomes = [self._begin(key, texts[key]) for key in missing]
        for key, outcome in zip(missing, outcomes, strict=True):
            yield key, outcome.result()
            self._begun.pop(key, None)

    def begin(self, text: str) -> None:
        """Compiles on another thread what will be loaded soon, where the disk does not have it."""
        key = object_key(text, self.target)
        if self.cache is None or not self.cache.path(key).exists():
            _uninterrupted(partial(self._begin, key, text))

    def _begin(self, key: bytes, text: str) -> Outcome[bytes | BaseException]:
        with self.lock:
            if key not in self._begun:
                self._begun[key] = self.workers.ask(partial(self._compile, key, text))
            return self._begun[key]

    def _compile(self, key: bytes, text: str) -> bytes | BaseException:
        try:
            code = compile_object(text, self.target, _suffix(key))
        except Exception as error:
            return error
        if code_memory.available():
            from flambeau.execute.cpu import linking

            binary = linking.binary_of(code)
            code = code if binary is None else binary.packed()
        if self.cache is not None:
            self.cache.put(key, code)
        return code

    def _link_all(
        self, texts: dict[bytes, str], codes: dict[bytes, bytes], symbols: Symbols
    ) -> dict[bytes, list[int] | BaseException]:
        """Links everything in one go, at half the cost; one by one if something is wrong."""
        if not codes:
            return {}
        try:
            return dict(self._link(codes, symbols))
        except NoRoomForCode:
            raise
        except RuntimeError as error:
            if len(codes) > 1:
                found: dict[bytes, list[int] | BaseException] = {}
                for key, code in codes.items():
                    found |= self._link_all(texts, {key: code}, symbols)
                return found
            ((key, code),) = codes.items()
            if self._stored.get(key) is code and texts[key]:  # the entry on the disk is no code
                again = self._compile(key, texts[key])
                if isinstance(again, bytes):
                    return self._link_all(texts, {key: again}, symbols)
            return {key: KernelCompileError(complaint(texts[key], str(error)))}

    def _link(self, codes: dict[bytes, bytes], symbols: Symbols) -> dict[bytes, list[int]]:
        """RuntimeError where something is wrong with them."""
        names = {key: [symbol + _suffix(key) for symbol in symbols] for key in codes}
        binaries = [unpacked(code) for code in codes.values() if is_binary(code)]
        others = {key: code for key, code in codes.items() if not is_binary(code)}
        with self.lock:
            self._libraries += 1
            try:
                found = self._binaries.link(binaries)
            except OSError as error:
                self._full = True
                raise NoRoomForCode(str(error)) from None
            if others:
                if self._jit is None:
                    from flambeau.execute.cpu.jit import Jit

                    self._jit = Jit(self.target)
                exported = [name for key in others for name in names[key]]
                found |= self._jit.link(list(others.values()), exported)
        try:
            return {key: [found[name] for name in wanted] for key, wanted in names.items()}
        except KeyError as missing:
            raise RuntimeError(f"the code does not define {missing}") from None

    def _import(self, name: str) -> int | None:
        """Where compiled code finds a function that is not its own."""
        if name not in software_float.SYMBOLS:
            return system_symbol(name)
        if self._software_float is None:
            key = object_key(software_float.TEXT, self.target)
            ((_, code),) = self._objects({key: software_float.TEXT})
            if isinstance(code, BaseException):
                raise code
            names = software_float.SYMBOLS
            self._software_float = dict(zip(names, self._link({key: code}, names)[key]))
        return self._software_float[name]

    def _find_room(self) -> None:
        """Raises NoRoomForCode before LLVM runs out of mappings, which would end the process."""
        if self._libraries % LINKS_PER_COUNT == 0 and not self._full:
            self._full = mappings() > MOST_OF_THE_MAPPINGS * most_mappings()
        if self._full:
            raise NoRoomForCode(
                f"{self._libraries} programs have been compiled, and the system allows this process"
                f" {most_mappings()} memory mappings (vm.max_map_count)"
            )

    def begin_anew(self) -> None:
        """After a fork: the threads that were loading do not exist in the child."""
        self._loads = {key: load for key, load in self._loads.items() if load.done()}
        self._begun = {}
        self.workers = _workers()


def _uninterrupted(work: Callable[[], T]) -> T:
    """Does what handles LLVM's objects, or threads, where Ctrl-C does not cut it short: that
    reaches the main thread alone.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    outcome: Outcome[T] = Outcome()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    try:
        start_thread(threading.Thread(target=run, name="flambeau-load"))
    except RuntimeError:  # where the interpreter ends, some Pythons start no more threads
        return work()
    return outcome.result()


def _workers() -> Workers:
    return Workers("flambeau-compile", min(COMPILE_THREADS, os.cpu_count() or 1))


def mappings() -> int:
    """How many memory mappings the process has; 0 where the system does not say."""
    try:
        with Path("/proc/self/maps").open("rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0


def most_mappings() -> int:
    """How many it may have."""
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_bytes())
    except (OSError, ValueError):
        return 65_530


def _suffix(key: bytes) -> str:
    """What tells the names of one object from those of the others it is linked with."""
    return f".{key.hex()[:24]}"


class _Holder:
    """The process's engine, made by the first use."""

    engine: Engine | None = None
    lock = threading.Lock()


def engine() -> Engine:
    """The engine of this process: the host as target, the default cache on disk."""
    if _Holder.engine is None:
        with _Holder.lock:
            if _Holder.engine is None:
                _Holder.engine = Engine(Target.host(), default_cache())
    return _Holder.engine


def kernel_addresses(texts: Sequence[str]) -> list[int]:
    """The addresses of `@kernel` in each LLVM module, compiled for this machine where missing.

    A text defines `i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last)`; equal texts give one
    address; the code stays loaded for the life of the process. Raises KernelCompileError.
    """
    if bounds.switched_on():
        from flambeau.execute.cpu import checking

        texts = [checking.checked(text) for text in texts]
    return [addresses[0] for addresses in engine().load(texts, (KERNEL,))]


# A fork waits until no thread compiles or links, so that the child's copies of LLVM and of the JIT
# are whole. (target.py does the same for LLVM's own lock; the locks are taken in the order in which
# `_link` does.)
class _Fork:
    engine: Engine | None = None
    locked = False  # (an interrupt may come in between)


def _before_fork() -> None:
    held = _Fork.engine = _Holder.engine
    if held is not None:
        held.workers.pause()
        _Fork.locked = held.lock.acquire()


def _unlocked() -> Engine | None:
    """The engine that a fork has waited for, ready to be used again."""
    held, _Fork.engine = _Fork.engine, None
    if held is not None and _Fork.locked:
        _Fork.locked = False
        held.lock.release()
    return held


def _after_fork_in_parent() -> None:
    held = _unlocked()
    if held is not None:
        held.workers.go_on()


def _after_fork_in_child() -> None:
    held = _unlocked()
    if held is not None:
        held.begin_anew()
    _Holder.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
