"""`flambeau run --progress`: how far the script's loops over DataLoaders are, on standard error.

The script's own thread does no more than it would: iterators count their batches anyway, and a
thread of ours looks at the counts ten times a second. What the script reads with `.item()` is noted
as it passes by; nothing is read that the script does not read.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any

from flambeau.seeing.progress import LOG, REDRAW, SCREENS, Meter
from flambeau.tensor.tensor import Tensor
from flambeau.utils.data.dataloader import DataLoader

SHORT = 1.0  # seconds: a loop that took less leaves no line of its own
STILL = 10.0  # seconds after which a loop that does not move is not shown any more
FRAMES = 6  # that are looked through for the loader's name


class Loop:
    """One iteration over a loader."""

    def __init__(self, iterator: Any, meter: Meter) -> None:
        self.iterator = weakref.ref(iterator)
        # Outlives the iterator by a moment: so its last count is known, and `break` frees it.
        self.state = vars(iterator)
        self.epoch = self.state.get("_epoch", 0)  # workers that stay serve many iterations
        self.meter = meter
        self.moved = meter.began
        self.drawn = meter.began

    def look(self) -> bool:
        """Notes where it is; whether it goes on."""
        count = self.state["_num_yielded"]
        if self.state.get("_epoch", 0) != self.epoch:  # the next iteration has begun
            return False
        if count != self.meter.count:
            self.moved = time.perf_counter()
        self.meter.at(count)
        return not self.state["ended"] and self.iterator() is not None


class Watch:
    """The loops under way, the innermost last, and where they are shown."""

    def __init__(self, way: str) -> None:
        self._screen = SCREENS[way]()
        self._every = LOG if way == "lines" else REDRAW
        self._lock = threading.RLock()
        self._loops: list[Loop] = []
        self._epochs: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._lately = time.perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flambeau-progress", daemon=True)
        self.loss: float | None = None

    def start(self) -> None:
        """Begins to look."""
        self._hook_loaders()
        self._hook_losses()
        if sys.stdout is not None and sys.stdout.isatty() and self._every < LOG:
            self._hook_output(sys.stdout)
        self._thread.start()
        atexit.register(self._end)
        if hasattr(os, "register_at_fork"):  # children have no such thread: they show nothing
            os.register_at_fork(after_in_child=self._forget)

    def begin(self, loader: Any, iterator: Any, frame: FrameType) -> None:
        """A loop over a loader begins."""
        if self._stop.is_set():
            return
        with self._lock:
            self.look()
            epoch = self._epochs[loader] = self._epochs.get(loader, 0) + 1
            description = f"{name_of(loader, frame)}, epoch {epoch}"
            if self._loops:
                self._note_loss(self._loops[-1])
            self.loss = None
            self._loops.append(Loop(iterator, Meter(description, batches(loader), {})))

    def look(self) -> None:
        """Ends the loops that have ended, and shows the innermost of the others."""
        with self._lock:
            going = []
            for loop in self._loops:
                if loop.look():
                    going.append(loop)
                    continue
                self._note_loss(loop)
                if loop.meter.seconds >= SHORT or self._due(self._lately, LOG):
                    self._screen.end(loop.meter)
                    self._lately = time.perf_counter()
            self._loops = going
            now = time.perf_counter()
            if going and now - going[-1].moved < STILL and self._due(going[-1].drawn, self._every):
                self._note_loss(going[-1])
                self._screen.draw(going[-1].meter)
                going[-1].drawn = self._lately = now

    def aside(self) -> None:
        """Makes room for what the script writes."""
        with self._lock:
            self.look()
            self._screen.clear()

    def _due(self, last: float, every: float) -> bool:
        return time.perf_counter() - last >= every

    def _note_loss(self, loop: Loop) -> None:
        if self.loss is not None and loop is self._loops[-1]:
            loop.meter.values["loss"] = self.loss

    def _watch(self) -> None:
        while not self._stop.wait(REDRAW):
            self.look()

    def _end(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self.look()
            self._screen.clear()

    def _forget(self) -> None:
        self._stop.set()
        self._lock = threading.RLock()
        self._loops = []

    # ---- hooks -----------------------------------------------------------------------------------

    def _hook_loaders(self) -> None:
        begin = DataLoader.__iter__

        def __iter__(loader: Any) -> Any:
            self.look()  # an iterator that starts over forgets how far it was
            iterator = begin(loader)
            self.begin(loader, iterator, sys._getframe(1))
            return iterator

        setattr(DataLoader, "__iter__", __iter__)  # noqa: B010  (a method)

    def _hook_losses(self) -> None:
        read = Tensor.item

        def item(tensor: Any) -> Any:
            """The value of a one-element tensor as a Python number."""
            value = read(tensor)
            if tensor._meta.requires_grad:
                self.loss = value
            return value

        setattr(Tensor, "item", item)  # noqa: B010  (a method)

    def _hook_output(self, out: Any) -> None:
        write = out.write

        def aside(text: str) -> Any:
            self.aside()
            return write(text)

        try:
            out.write = aside
        except AttributeError:  # a stream of another kind: its lines may run into ours
            return


def name_of(loader: Any, frame: FrameType | None) -> str:
    """What the script calls a loader: where it is iterated over, or better where that is called."""
    found = "batches"
    for _ in range(FRAMES):
        if frame is None:
            break
        for name, value in [*frame.f_globals.items(), *frame.f_locals.items()]:
            if name.startswith("_") or name in ("self", "iterable"):
                continue
            if value is loader:
                found = name
            elif type(value) is dict:
                keys = [key for key, entry in value.items() if entry is loader]
                found = f"{name}[{keys[0]!r}]" if keys else found
        frame = frame.f_back
    return found


def batches(loader: Any) -> int | None:
    """How many there will be; None where only a data set could tell, which is not asked: that
    would count as the script's own asking.
    """
    if loader.is_iterable():
        return None
    try:
        return len(loader._index_sampler)
    except (TypeError, NotImplementedError):
        return None


def watch(*, always: bool) -> None:
    """Shows progress from here on, in a terminal or (`always`) wherever standard error leads."""
    if sys.stderr is None:
        return
    terminal = sys.stderr.isatty()
    if terminal or always:
        Watch("terminal" if terminal else "lines").start()
