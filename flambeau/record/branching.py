"""Loops whose rounds take one branch or another, as a coin says (teacher forcing, layers left out).

Note [Branches in loops]
    A recording of n rounds with two branches each is one of 2**n, hardly any of which comes back.
    Its rounds are few, though. So where a path parts from those that are known in the middle of a
    loop, and has done so a few times, recordings end there from then on: each round is a program,
    known once both branches were taken. A backward pass goes through them one by one
    (`autograd/stepwise.py`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from flambeau.record.chain import Cut, NeedChain
from flambeau.record.meta import Meta
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL, Recording
from flambeau.record.tree import State

ROUNDS = 3  # of a loop, by which it is known as one
LEAST = 4  # ops of a round; programs of fewer cost more than they save
OFTEN = 3  # paths that part from others at a line within a loop
MANY = 1_000  # lines that are counted

Line = tuple[str, int, Any]  # of the event before: file and line of the user's program, op


class _Lines:
    """Where paths part in loops: how often, and where recordings end."""

    def __init__(self) -> None:
        self.counted: Counter[Line] = Counter()
        self.ends: set[Line] = set()


LINES = _Lines()


def ends_round(rec: Recording, key: Any) -> bool:
    """Whether the recording ends before an event that is new here, and from now on always does,
    since what follows is one branch of several in a loop.
    """
    state = rec.state
    if OPTIONS.sync or LOCAL.capture is not None or state.ops < LEAST:
        return False
    if not (state.next or LINES.ends):
        return False
    line = _line(state)
    if line is None:
        return False
    if line not in LINES.ends:
        if not state.next or any(_kind(other) == _kind(key) for other in state.next):
            return False
        if not _in_branching_loop(state, line, key):
            return False
        if len(LINES.counted) > MANY:
            LINES.counted.clear()
        LINES.counted[line] += 1
        if LINES.counted[line] < OFTEN:
            return False
        LINES.ends.add(line)
    _end(state, line)
    return True


def _line(state: State) -> Line | None:
    """After which event a path has come here; None where that is but the beginning of one (a tensor
    that enters, a backward pass that goes on in the next event: it would begin again for ever).
    """
    place, key = state.place, state.key
    if place is None or isinstance(key, Meta) or key[0].enters:
        return None
    if isinstance(state.extra, (NeedChain, Cut)):
        return None
    return place.file, place.line, key[0]


def _kind(key: Any) -> Any:
    return Meta if isinstance(key, Meta) else key[0]


def _rounds(state: State, line: Line) -> tuple[list[State], set[Any]]:
    """The states of a path, up to this one, after which a round has ended; and with what kinds of
    events the rounds that came next began.
    """
    found, following, at = [], set(), state
    after: Any = None
    while at.parent is not None:
        if _line(at) == line:
            found.append(at)
            if after is not None:
                following.add(_kind(after))
        after = at.key
        at = at.parent
    return found, following


def _in_branching_loop(state: State, line: Line, key: Any) -> bool:
    """Whether the path has come here by rounds of a loop that took several branches, of which an
    event begins one. (What begins nothing of that kind is the end of the loop.)
    """
    rounds, following = _rounds(state, line)
    if len(rounds) < ROUNDS or len(following) < 2 or _kind(key) not in following:
        return False
    return (rounds[0].ops - rounds[-1].ops) >= LEAST * (len(rounds) - 1)


def _end(state: State, line: Line) -> None:
    """Recordings end where rounds of this path do: what is known to follow is forgotten."""
    for place in _rounds(state, line)[0]:
        place.ended = place.looped = True
        place.next.clear()
