"""`flambeau explain`: runs a script as `flambeau run` does, and explains it at its end."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NamedTuple

from flambeau.explaining import Explanation


class Wanted(NamedTuple):
    """Where the page, the JSON file and the trace go (None: nowhere)."""

    page: str | None
    json: str | None
    trace: str | None


def begin(script: str, wanted: Wanted) -> None:
    """Starts the explanation, and sees to its end."""
    page = wanted.page
    if page is None and wanted.json is None and wanted.trace is None:
        stem = os.path.splitext(os.path.basename(os.path.normpath(script)))[0] or "script"
        page = f"{stem}.explained.html"
    # The script may change the folder it runs in.
    paths = [None if p is None else os.path.abspath(p) for p in (page, *wanted[1:])]
    shown = [p for p in (page, *wanted[1:]) if p is not None]
    explanation = Explanation(*paths, script=script)
    process = os.getpid()
    explanation.__enter__()

    def end() -> None:
        if os.getpid() != process:
            return  # a child that the script has forked
        try:
            explanation.__exit__()
            last = f"written: {', '.join(shown)}"
        except OSError as error:  # a folder that is read-only or full: what was found is shown
            last = f"not written: {error}"
        sys.stdout.flush()
        print(f"\n{explanation}\n\n{last}", file=sys.stderr)

    # Registered before the script's own functions, so that it runs after them.
    atexit.register(end)
