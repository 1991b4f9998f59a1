"""`progress`: how far a loop is, how fast, how long it will take, and the values it tells."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Generic, TextIO, TypeVar

from flambeau.tensor.tensor import Tensor

__all__ = ["Meter", "Progress", "progress"]

T = TypeVar("T")
WAYS = ("terminal", "notebook", "lines", "off")
REDRAW, LOG = 0.1, 10.0  # seconds between two pictures on a screen, two lines in a file
BETWEEN = 0.01  # seconds, about, between two looks at the clock
WINDOW = 5.0  # seconds that the rate looks back
BAR = 20  # characters
CLEAR = "\r\x1b[K"


def progress(
    iterable: Iterable[T],
    description: str = "",
    total: int | None = None,
    *,
    show: str | None = None,
    every: float | None = None,
    file: TextIO | None = None,
) -> Progress[T]:
    """Iterates over `iterable` and shows how far it is, on standard error or `file`.

    `total` is how many there will be (by default `len(iterable)`, if it has one). In a terminal one
    line is written over and over, in a notebook a bar, elsewhere (`show="lines"`) a line every ten
    seconds, or every `every` seconds. `bar.set(loss=...)` adds values. ValueError, TypeError for
    arguments that make no sense.
    """
    return Progress(iterable, description, total, show=show, every=every, file=file)


class Progress(Generic[T]):
    """What `progress` gives: iterate over it once or, as over a DataLoader, once an epoch."""

    def __init__(
        self,
        iterable: Iterable[T],
        description: str = "",
        total: int | None = None,
        *,
        show: str | None = None,
        every: float | None = None,
        file: TextIO | None = None,
    ) -> None:
        if not isinstance(iterable, Iterable):
            raise TypeError(f"progress needs something to iterate over, got {iterable!r}")
        if show is not None and show not in WAYS:
            raise ValueError(f"show must be one of {', '.join(WAYS)}, got {show!r}")
        if every is not None and every < 0:
            raise ValueError(f"every must not be negative, got {every}")
        if total is not None and total < 0:
            raise ValueError(f"total must not be negative, got {total}")
        self._iterable = iterable
        self._description = description
        self._total = total
        self._file = file
        self._show = show or way(file)
        self._every = every if every is not None else LOG if self._show == "lines" else REDRAW
        self._values: dict[str, Any] = {}

    def __len__(self) -> int:
        total = self._total if self._total is not None else length_of(self._iterable)
        if total is None:
            raise TypeError(
                f"{type(self._iterable).__name__} has no length, and no total was given"
            )
        return total

    def set(self, **values: Any) -> None:
        """Values to show from now on, such as `loss`: numbers, texts, or tensors of one element.

        A tensor is shown when the program has computed it: showing it never makes it run.
        """
        for name, value in values.items():
            self._values[name] = weakref.ref(value) if isinstance(value, Tensor) else value

    def __iter__(self) -> Iterator[T]:
        if self._show == "off":
            yield from self._iterable
            return
        total = self._total if self._total is not None else length_of(self._iterable)
        meter = Meter(self._description, total, self._values)
        screen = SCREENS[self._show](self._file)
        clock, every = time.perf_counter, self._every
        due = meter.began + min(every, REDRAW)
        done = look = 0  # items; from how many on the clock is asked again
        try:
            for item in self._iterable:
                if done >= look:
                    now = clock()
                    if now >= due:
                        meter.at(done)
                        screen.draw(meter)
                        due = now + every
                    look = done + 1 + int(BETWEEN * done / max(now - meter.began, BETWEEN))
                yield item
                done += 1
        finally:
            meter.at(done)
            screen.end(meter)


def way(file: TextIO | None = None) -> str:
    """How progress is shown where nobody says how."""
    if file is None and _in_notebook():
        return "notebook"
    out = sys.stderr if file is None else file
    try:
        return "terminal" if out.isatty() else "lines"
    except (AttributeError, ValueError):  # None under pythonw; a closed file
        return "off" if out is None else "lines"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def length_of(iterable: Any) -> int | None:
    """`len(iterable)`, or None where it has none."""
    try:
        return len(iterable)
    except (TypeError, NotImplementedError, AttributeError):
        return None


class Meter:
    """How far something is: counts, times, and the text that says it."""

    def __init__(self, description: str, total: int | None, values: dict[str, Any]) -> None:
        self.description, self.total, self.values = description, total, values
        self.count = 0
        self.began = self.now = time.perf_counter()
        self._known: dict[str, str] = {}
        self._past: deque[tuple[float, int]] = deque([(self.began, 0)])

    def at(self, count: int) -> None:
        """So many are done now."""
        self.count, self.now = count, time.perf_counter()
        self._past.append((self.now, count))
        while len(self._past) > 2 and self._past[1][0] < self.now - WINDOW:
            self._past.popleft()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.now - self.began

    def rate(self, *, whole: bool = False) -> float:
        """Per second: of the last few seconds, or of the whole time."""
        began, first = (self.began, 0) if whole else self._past[0]
        return (self.count - first) / max(self.now - began, 1e-9)

    def text(self, *, done: bool = False, width: int = 0) -> str:
        """One line: what, n/total, a bar where `width` leaves room, time, rate, values."""
        known = self.total is not None and self.count <= self.total
        parts = [f"{self.count}/{self.total}" if known else str(self.count)]
        rate = self.rate(whole=done)
        times = duration(self.seconds)
        if self.total and known and not done and rate > 0:
            times += f", {duration((self.total - self.count) / rate)} left"
        parts += [times, rate_text(rate), *self._value_texts()]
        head = f"{self.description}  " if self.description else ""
        text = head + "  ".join(parts)
        if self.total and known and width > len(text) + BAR + 2:
            filled = round(BAR * self.count / self.total)
            bar = "█" * filled + "░" * (BAR - filled)
            text = head + "  ".join([parts[0], bar, *parts[1:]])
        return text[: width - 1] if width else text

    def _value_texts(self) -> list[str]:
        for name, value in self.values.items():
            shown = value_text(value)
            if shown is not None:
                self._known[name] = shown
        return [f"{name} {self._known[name]}" for name in self.values if name in self._known]


def value_text(value: Any) -> str | None:
    """A value in a few characters; None for a tensor that is gone or not computed yet."""
    if isinstance(value, weakref.ref):
        tensor = value()
        storage = None if tensor is None else tensor._storage
        if tensor is None or storage is None or tensor.numel() != 1:
            return None
        if storage.recording is not None and not storage.recording.done:
            return None
        value = tensor.item()
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def rate_text(rate: float) -> str:
    """So many per second, or seconds for each."""
    if rate >= 1 or rate <= 0:
        return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.1f}/s"
    return f"{1 / rate:.1f} s each"


def duration(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Terminal:
    """One line that is written over."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = sys.stderr if file is None else file
        self.shown = False

    def draw(self, meter: Meter) -> None:
        """Shows where it is."""
        self._write(CLEAR + meter.text(width=shutil.get_terminal_size().columns))
        self.shown = True

    def end(self, meter: Meter) -> None:
        """Leaves the last line standing."""
        columns = shutil.get_terminal_size().columns
        self._write(f"{CLEAR}{meter.text(done=True, width=columns)}\n")
        self.shown = False

    def clear(self) -> None:
        """Takes the line away, for somebody else's."""
        if self.shown:
            self._write(CLEAR)
            self.shown = False

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except UnicodeEncodeError:
            self._file.write(text.replace("█", "#").replace("░", "-"))
        self._file.flush()


class Lines:
    """A line now and then: for files."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = sys.stderr if file is None else file

    def draw(self, meter: Meter) -> None:
        """Writes where it is."""
        print(meter.text(), file=self._file, flush=True)

    def end(self, meter: Meter) -> None:
        """Writes how it ended."""
        print(meter.text(done=True), file=self._file, flush=True)

    def clear(self) -> None:
        """Nothing: lines stay."""


class Notebook:
    """A bar below the cell."""

    def __init__(self, file: TextIO | None = None) -> None:
        ipython: Any = importlib.import_module("IPython.display")
        self._html = ipython.HTML
        self._handle = ipython.display(ipython.HTML(""), display_id=True)

    def draw(self, meter: Meter, *, done: bool = False) -> None:
        """Shows where it is."""
        most = f' max="{meter.total}" value="{meter.count}"' if meter.total else ""
        bar = "" if done and not meter.total else f"<progress{most}></progress> "
        self._handle.update(self._html(f"{bar}<code>{escape(meter.text(done=done))}</code>"))

    def end(self, meter: Meter) -> None:
        """Leaves the last bar standing."""
        self.draw(meter, done=True)

    def clear(self) -> None:
        """Nothing: the bar has its own place."""


SCREENS: dict[str, Any] = {"terminal": Terminal, "lines": Lines, "notebook": Notebook}
