"""Which Python functions the time goes to: a look at the stack every few milliseconds of CPU time.

The look is taken by the handler of SIGPROF, between two bytecodes of the main thread, so that it
stands where the time was spent (a thread that takes looks would mostly see where the interpreter's
lock is given up). Where there is no such signal, or the program uses it, nothing is sampled.
"""

from __future__ import annotations

import signal
import sys
import sysconfig
import threading
from collections import defaultdict
from time import perf_counter, thread_time
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from flambeau.core.notice import PACKAGE
from flambeau.record.plan import Plan

if TYPE_CHECKING:
    from flambeau.explaining.collector import Collector

INTERVAL = 4e-3  # seconds of CPU time
DEEPEST = 400
# Parts of this package that stand for what the user has chosen: transforms and data sets.
CHOSEN = tuple(f"{PACKAGE}vision{part}" for part in ("/transforms/", "/datasets/"))
CALLED = ("__call__", "forward", "__getitem__", "__getbatch__", "__getitems__", "__iter__")
STANDARD = tuple(
    path
    for key in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(key))
)

COMPILING = Plan.compile.__code__
LOADER = ("", 0, "DataLoader (indexing, collating)")

# (file, line of the definition, name); no file: what the name says
Function = tuple[str, int, str]


class StackSampler:
    """Seconds by function, while a batch is loaded and in Python between programs."""

    def __init__(self, owner: Collector) -> None:
        self.owner = owner
        # kind -> function -> [own, with what it calls]
        self.functions: dict[str, dict[Function, list[float]]] = {
            kind: defaultdict(lambda: [0.0, 0.0]) for kind in ("data", "python")
        }
        self.lines: dict[str, dict[tuple[str, int], float]] = {
            kind: defaultdict(float) for kind in ("data", "python")
        }
        self.workers: dict[Function, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.total = {"data": 0.0, "python": 0.0, "workers": 0.0}
        self.looks = 0
        self.active = False
        self.last = 0.0
        self.outermost = type(owner).loading.__code__  # of what loads batches

    def start(self) -> None:
        if not hasattr(signal, "setitimer"):
            return
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGPROF) not in (signal.SIG_DFL, None, _look):
            return
        if signal.getitimer(signal.ITIMER_PROF)[0]:
            return
        signal.signal(signal.SIGPROF, _look)
        signal.siginterrupt(signal.SIGPROF, False)
        self.last = thread_time()
        _AT_WORK.append(self)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        self.active = True

    def stop(self) -> None:
        if not self.active:
            return
        self.active = False
        _AT_WORK.remove(self)
        if threading.current_thread() is not threading.main_thread():
            return
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def look(self, frame: FrameType | None) -> None:
        """Adds the CPU time since the last look to what stands on the stack."""
        now = thread_time()
        passed, self.last = now - self.last, now
        if self.owner.skip and perf_counter() > self.owner.resume_at:
            self.owner.resume()
        kind = self.owner.kind
        if kind not in self.functions or frame is None:
            return
        self.looks += 1
        if self.note(frame, passed, self.functions[kind], self.lines[kind]):
            self.total[kind] += passed
        if self.owner.threads:
            frames = sys._current_frames()
            for ident in list(self.owner.threads):
                other = frames.get(ident)
                if other is not None and self.note(other, passed, self.workers, None):
                    self.total["workers"] += passed

    def note(self, frame: FrameType | None, seconds: float, functions: Any, lines: Any) -> bool:
        """Adds a look; False where it is the compiler that is at work."""
        known: set[Function] = set()
        innermost = True
        depth = 0
        while frame is not None and depth < DEEPEST:
            code = frame.f_code
            if code is self.outermost:
                break
            if code is COMPILING and innermost:
                return False
            if wanted(code):
                key = (code.co_filename, code.co_firstlineno, name_of(code, frame))
                if innermost:
                    innermost = False
                    functions[key][0] += seconds
                    if lines is not None:
                        lines[code.co_filename, frame.f_lineno] += seconds
                if key not in known:
                    known.add(key)
                    functions[key][1] += seconds
            frame = frame.f_back
            depth += 1
        if innermost and functions is not self.functions["python"]:
            functions[LOADER][0] += seconds
            functions[LOADER][1] += seconds
        return True


_AT_WORK: list[StackSampler] = []  # one at most


def _look(number: int, frame: FrameType | None) -> None:
    """The handler of SIGPROF. It stays when the sampler stops: a signal may be on its way."""
    for sampler in _AT_WORK:
        sampler.look(frame)


_wanted: dict[CodeType, bool] = {}


def wanted(code: CodeType) -> bool:
    """Whether a function is shown: the user's own, transforms and data sets."""
    known = _wanted.get(code)
    if known is None:
        known = _wanted[code] = _is_wanted(code)
    return known


def _is_wanted(code: CodeType) -> bool:
    file = code.co_filename
    if file.startswith(PACKAGE):
        return file.startswith(CHOSEN) and code.co_name in CALLED
    return not (file.startswith(("<frozen", "<string>")) or file.startswith(STANDARD))


def name_of(code: CodeType, frame: FrameType) -> str:
    """The function's name, with that of the class of the object it works on."""
    if code.co_varnames[:1] == ("self",):
        owner = frame.f_locals.get("self")
        if owner is not None:
            return f"{type(owner).__name__}.{code.co_name}"
    return getattr(code, "co_qualname", code.co_name).replace(".<locals>", "")
