"""Exceptions that signal handlers raise in the middle of our work, told from those of the work."""

from __future__ import annotations

import os
from functools import cache


@cache
def _known_places() -> tuple[str, ...]:
    """Folders whose code raises what belongs to the work: this package, Python, what is installed.

    Programs and their signal handlers lie elsewhere.
    """
    import sysconfig

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = sysconfig.get_paths()
    folders = {package, *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
    return tuple(sorted(folder + os.sep for folder in folders))


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception has come from outside: Ctrl-C, or raised by the user's own function."""
    if not isinstance(error, Exception):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    return not file.startswith(("<", *_known_places()))
