"""`flambeau run`: a script runs as `python script.py` would run it, with `import torch` aliased.

What Python does for a main program is done here: a fresh `__main__`, `sys.argv`, `sys.path[0]`,
exit statuses, tracebacks that begin with the script's own lines. tests/cli compares the two.
"""

from __future__ import annotations

import atexit
import builtins
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType

from flambeau import compat

# The console script's own __main__: were it collected, its globals would be cleared under it.
_replaced: list[ModuleType] = []


Begin = Callable[[], None]


def run_path(
    path: str, arguments: Sequence[str], *, report: bool = False, begin: Begin | None = None
) -> int:
    """Run a script (or a folder or zip file that holds `__main__.py`) as the main program.

    Gives 0, or 2 where the file cannot be opened; the script's own SystemExit and exceptions
    pass through. `begin` is called right before the script.
    """
    sys.argv = [path, *arguments]
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        return _run_container(path, report, begin)
    main = _fresh_main()
    file = os.path.abspath(path)
    main.__file__ = file
    main.__loader__ = SourceFileLoader("__main__", file)
    main.__dict__["__cached__"] = None
    try:
        with io.open_code(file) as opened:
            source = opened.read()
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"flambeau: can't open file {file!r}: {reason}", file=sys.stderr)
        return 2
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    _start(report, begin)
    _execute(source, file, main)
    return 0


def run_module(
    name: str, arguments: Sequence[str], *, report: bool = False, begin: Begin | None = None
) -> int:
    """Run a module or package as `python -m` does. Gives 0, or 1 where there is no such module."""
    sys.argv = ["-m", *arguments]
    _set_first_path(os.getcwd())
    _start(report, begin)
    main = _fresh_main()
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            # Imports the package first, as `python -m package` does.
            importlib.import_module(name)
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        # A parent of the name that is not there; anything else is the package's own failure.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _hide_runner(error)
            raise
        spec = None
    except BaseException as error:
        _hide_runner(error)
        raise
    code = _code(spec)
    if spec is None or code is None:
        print(f"flambeau: No module named {name} that can be run", file=sys.stderr)
        return 1
    _adopt(main, spec)
    sys.argv[0] = str(spec.origin)
    _execute(code, str(spec.origin), main)
    return 0


def _run_container(path: str, report: bool, begin: Begin | None) -> int:
    """A folder or zip file: its `__main__.py`, with the container first on sys.path."""
    path = os.path.abspath(path)
    _set_first_path(path)
    _start(report, begin)
    main = _fresh_main()
    spec = PathFinder.find_spec("__main__", [path])
    code = _code(spec)
    if spec is None or code is None:
        print(f"flambeau: can't find '__main__' module in {path!r}", file=sys.stderr)
        return 1
    _adopt(main, spec)
    main.__package__ = ""
    _execute(code, str(spec.origin), main)
    return 0


def _code(spec: ModuleSpec | None) -> CodeType | None:
    """The code object behind a spec; None where its loader has none (a C extension, a folder)."""
    get_code = getattr(spec.loader, "get_code", None) if spec is not None else None
    if spec is None or get_code is None:
        return None
    found: CodeType | None = get_code(spec.name)
    return found


def _fresh_main() -> ModuleType:
    """A new `__main__` in sys.modules with what Python puts into it before the first line."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _adopt(main: ModuleType, spec: ModuleSpec) -> None:
    main.__spec__ = spec
    main.__loader__ = spec.loader
    main.__file__ = spec.origin
    main.__package__ = spec.parent
    main.__dict__["__cached__"] = spec.cached


def _set_first_path(folder: str) -> None:
    """Put the folder where Python puts a script's folder: first, in the runner's own place.

    Where Flambeau itself was found through that place (run from a checkout), it stays
    reachable at the end.
    """
    if getattr(sys.flags, "safe_path", False) or sys.flags.isolated:
        return
    own = sys.path.pop(0) if sys.path else ""
    sys.path.insert(0, folder)
    house = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.abspath(own) == house and house not in map(os.path.abspath, sys.path):
        sys.path.append(house)


def _start(report: bool, begin: Begin | None) -> None:
    compat.install()
    if begin is not None:
        begin()
    if report:
        # Registered before the script's own functions, so that it runs after them.
        atexit.register(_print_report)


def _execute(program: bytes | CodeType, file: str, main: ModuleType) -> None:
    """Run the program in `main`; an exception leaves with only the program's own frames shown."""
    try:
        if isinstance(program, bytes):
            program = compile(program, file, "exec", dont_inherit=True)
        exec(program, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _hide_runner(error)
        raise


def _hide_runner(error: BaseException) -> None:
    """Let the interpreter's last act, sys.excepthook, see the traceback from the script on.

    Raising on through the runner's callers prepends their frames again, so cutting the traceback
    here would not last: the cut one is put back when the hook is called. A hook that the script
    installed is called with it in the same way.
    """
    shown = _below_runner(error.__traceback__)
    show = sys.excepthook

    def excepthook(
        kind: type[BaseException],
        value: BaseException,
        trace: TracebackType | None,
    ) -> None:
        if value is error:
            trace = shown
            value.__traceback__ = shown
        show(kind, value, trace)

    sys.excepthook = excepthook


def _below_runner(trace: TracebackType | None) -> TracebackType | None:
    runner = ("<frozen importlib", "<frozen runpy", __file__)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(runner):
        trace = trace.tb_next
    return trace


def _print_report() -> None:
    """The recorder's account of the run, on stderr."""
    try:
        record = importlib.import_module("flambeau.record")
        account = record.report()
    except (ImportError, AttributeError) as error:
        account = f"flambeau: no report of this run ({error})"
    sys.stdout.flush()
    print(account, file=sys.stderr)
