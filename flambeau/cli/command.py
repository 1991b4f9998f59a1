"""Reading the command line. By hand: argparse costs more to import than the rest of this file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from flambeau.core import settings

USAGE = """\
usage: flambeau run [options] script.py [arguments ...]
       flambeau run [options] -m module [arguments ...]
       flambeau explain [options] script.py [arguments ...]
       flambeau explain [options] -m module [arguments ...]
       flambeau env
       flambeau doctor
       flambeau help [topic]
       flambeau --version | --help

run   run a PyTorch script or module with `import torch` meaning Flambeau;
      everything after the script belongs to the script
      --report   at the end, print to stderr how much of the run came from
                 compiled programs (also: FLAMBEAU_REPORT=1)
      --progress in a terminal, show on stderr how far the loops over DataLoaders
                 are; --progress=always: also where stderr is a file, line by line
      --leave    packages (torchmetrics, torchvision) that are imported as they
                 are installed, instead of Flambeau's own (also: FLAMBEAU_LEAVE)
explain  the same (with --progress and --leave), and say at the end where the time
      went: in a few sentences on stderr, and on a page to open in a browser
      (script.explained.html)
      --out      the page's file
      --json     write the report as JSON
      --trace    write a trace for chrome://tracing or ui.perfetto.dev
env   versions, CPU, vector width, threads, cache folder: what a bug report needs
doctor  the same, and a short self-test: what is wrong, and how to mend it
help  the topics that error messages name: shapes, gradients, nan, slow, ...
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0, or 2 for a wrong command line."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    if not rest:
        return _wrong("a command is needed")
    command = rest.pop(0)
    if command in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if command == "help":
        return _help(rest)
    if command in ("-V", "--version"):
        from flambeau.cli.environment import version

        print(f"flambeau {version()}")
        return 0
    if command in ("env", "doctor") and rest:
        return _wrong(f"{command} takes no arguments, got {rest[0]!r}")
    if command == "env":
        from flambeau.cli.environment import describe

        print(describe())
        return 0
    if command == "doctor":
        from flambeau.cli.doctor import examine

        return examine()
    if command in ("run", "explain"):
        return _run(rest, explains=command == "explain")
    return _wrong(f"no command {command!r}")


def _run(rest: list[str], explains: bool) -> int:
    report, progress = settings.report_wanted(), ""
    files: dict[str, str] = {}
    name = "explain" if explains else "run"
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--report" and not explains:
            report = True
        elif option in ("--progress", "--progress=always"):
            progress = option.partition("=")[2] or "terminal"
        elif explains and option.partition("=")[0] in ("--out", "--json", "--trace"):
            option, _, given = option.partition("=")
            given = given or (rest.pop(0) if rest else "")
            if not given:
                return _wrong(f"{option} needs a file")
            files[option] = given
        elif option == "--leave" or option.startswith("--leave="):
            given = option.partition("=")[2] or (rest.pop(0) if rest else "")
            if wrong := _leave(given):
                return _wrong(wrong)
        elif option in ("-h", "--help"):
            print(USAGE, end="")
            return 0
        elif option == "-m":
            if not rest:
                return _wrong("-m needs the name of a module")
            from flambeau.cli.run import run_module

            begin = _begin(rest[0], progress, files if explains else None)
            return run_module(rest[0], rest[1:], report=report, begin=begin)
        else:
            return _wrong(f"{name} has no option {option!r} (the script's own go after its name)")
    if not rest:
        return _wrong(f"{name} needs a script or -m module")
    if rest[0] == "-":
        return _wrong(f"{name} does not read a program from standard input: give it a file")
    from flambeau.cli.run import run_path

    begin = _begin(rest[0], progress, files if explains else None)
    return run_path(rest[0], rest[1:], report=report, begin=begin)


def _begin(script: str, progress: str, files: dict[str, str] | None) -> Callable[[], None]:
    """What starts everything that watches the script."""

    def start() -> None:
        if progress:
            from flambeau.cli.progress import watch

            watch(always=progress == "always")
        if files is not None:
            from flambeau.cli.explain import Wanted, begin

            begin(script, Wanted(files.get("--out"), files.get("--json"), files.get("--trace")))

    return start


def _help(rest: list[str]) -> int:
    if not rest:
        print(USAGE, end="")
    from flambeau.cli.topics import page_of, topics

    if not rest:
        print(f"topics: {', '.join(topics())}")
        return 0
    page = page_of(rest[0]) if len(rest) == 1 else None
    if page is None:
        return _wrong(f"no topic {' '.join(rest)!r}; there are: {', '.join(topics())}")
    print(page, end="")
    return 0


def _leave(given: str) -> str | None:
    """Set what `--leave` says, for this process and its children; gives what is wrong with it."""
    from flambeau.compat.names import LEAVABLE

    packages = [name.strip() for name in given.split(",") if name.strip()]
    known = " and ".join(sorted(LEAVABLE))
    if not packages:
        return f"--leave needs packages: {known}"
    for name in packages:
        if name not in LEAVABLE:
            return f"--leave knows {known}, not {name!r}"
    settings.leave_packages(packages)
    return None


def _wrong(problem: str) -> int:
    print(f"flambeau: {problem}\n{USAGE}", end="", file=sys.stderr)
    return 2
