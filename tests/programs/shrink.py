"""Smaller programs with the same mismatch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from .program import Block, Line, Program, Statement

Path = tuple[int, ...]


def shrink(
    program: Program,
    fails: Callable[[Program], bool],
    attempts: int = 2000,
    seconds: float = 60.0,
) -> Program:
    """Drops and unwraps statements as long as `fails` stays true; tries at most `attempts`
    programs, and none after so many seconds.
    """
    left = attempts
    end = time.monotonic() + seconds
    changed = True
    while changed and left > 0:
        changed = False
        for smaller in _candidates(program):
            if left <= 0 or time.monotonic() > end:
                return program
            left -= 1
            if fails(smaller):
                program = smaller
                changed = True
                break
    return program


def _candidates(program: Program) -> Iterator[Program]:
    """Smaller programs, the much smaller ones first."""
    count = len(program.statements)
    size = count // 2
    while size >= 1:
        for end in range(count, 0, -size):
            start = max(end - size, 0)
            kept = program.statements[:start] + program.statements[end:]
            yield Program(kept, program.seed)
        size //= 2
    for path in _paths(program.statements):
        for replacement in _simpler(_at(program.statements, path)):
            yield Program(_replaced(program.statements, path, replacement), program.seed)


def _paths(statements: tuple[Statement, ...]) -> list[Path]:
    found: list[Path] = []
    for place, statement in enumerate(statements):
        found.append((place,))
        if isinstance(statement, Block):
            found += [(place, *path) for path in _paths(statement.body)]
    return found


def _at(statements: tuple[Statement, ...], path: Path) -> Statement:
    statement = statements[path[0]]
    if len(path) == 1:
        return statement
    assert isinstance(statement, Block)
    return _at(statement.body, path[1:])


def _simpler(statement: Statement) -> Iterator[tuple[Statement, ...]]:
    """What may stand in a statement's place: nothing, a block's body, a loop that repeats less."""
    yield ()
    if isinstance(statement, Line):
        return
    yield statement.body
    words = statement.header.split()
    if words[0] == "for" and words[3] != "range(2)":
        yield (Block(" ".join([*words[:3], "range(2)"]), statement.body),)


def _replaced(
    statements: tuple[Statement, ...], path: Path, replacement: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    place = path[0]
    if len(path) == 1:
        return statements[:place] + replacement + statements[place + 1 :]
    block = statements[place]
    assert isinstance(block, Block)
    inner = Block(block.header, _replaced(block.body, path[1:], replacement))
    return (*statements[:place], inner, *statements[place + 1 :])
