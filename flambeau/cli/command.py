"""Reading the command line. By hand: argparse costs more to import than the rest of this file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flambeau.core import settings

USAGE = """\
usage: flambeau run [options] script.py [arguments ...]
       flambeau run [options] -m module [arguments ...]
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
    if command == "run":
        return _run(rest)
    return _wrong(f"no command {command!r}")


def _run(rest: list[str]) -> int:
    report, progress = settings.report_wanted(), ""
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--report":
            report = True
        elif option in ("--progress", "--progress=always"):
            progress = option.partition("=")[2] or "terminal"
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

            return run_module(rest[0], rest[1:], report=report, progress=progress)
        else:
            return _wrong(f"run has no option {option!r} (the script's own go after its name)")
    if not rest:
        return _wrong("run needs a script or -m module")
    if rest[0] == "-":
        return _wrong("run does not read a program from standard input: give it a file")
    from flambeau.cli.run import run_path

    return run_path(rest[0], rest[1:], report=report, progress=progress)


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
