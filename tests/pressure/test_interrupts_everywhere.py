"""An interrupt at every place where Python lets one in, one after another.

CPython looks for signals where a function begins, behind calls, and where a loop goes back. A
function that is told of every instruction counts these places while a step is taken, and raises at
one of them.
"""

from __future__ import annotations

import dis
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

from flambeau.core.workers import Workers
from tests.programs.modes import mode

from . import TIMES
from .test_interrupts import Training, fresh, one_by_one

# (executor, steps before the one that is interrupted, of how many places one is tried, at first)
CASES = [
    ("recognised", 4, 1),
    ("compiled", 4, 3),
    ("replayed", 6, 3),
    ("reference", 4, 41),
    ("reference", 0, 2003),
    ("recognised", 1, 997),
]
OURS = (__file__, Training.step.__code__.co_filename)
monitoring: Any = getattr(sys, "monitoring", None)
TOOL = 4
LETS_IN = ("RESUME", "CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


@cache
def names(code: CodeType) -> dict[int, str]:
    return {one.offset: one.opname for one in dis.get_instructions(code)}


class Interrupting:
    """Raises KeyboardInterrupt at the place of this number, counted from 1."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.before: dict[int, str] = {}  # the last instruction of each frame
        self.where = ""

    def run(self, work: Callable[[], Any]) -> bool:
        """Whether there were so many places."""
        hook, tracer = sys.unraisablehook, sys.gettrace()
        sys.unraisablehook = lambda _: None  # one in a finalizer is lost, as everywhere in Python
        try:
            self.begin()
            work()
        except KeyboardInterrupt:
            assert self.where
        finally:
            self.end(tracer)
            sys.unraisablehook = hook
        return bool(self.where)

    def begin(self) -> None:
        if monitoring is None:
            sys.settrace(self.enter)
            return
        # From 3.12 on tracing tells of instructions only of code that was traced before.
        self.thread = threading.get_ident()
        monitoring.use_tool_id(TOOL, "interrupts")
        monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self.monitored)
        monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)

    def end(self, tracer: Any) -> None:
        if monitoring is None:
            sys.settrace(tracer)
            return
        monitoring.set_events(TOOL, 0)
        monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(TOOL)

    def enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.where or frame.f_code.co_filename in OURS:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.traced

    def traced(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "return":
            self.before.pop(id(frame), None)
        elif event == "opcode" and not self.where:
            self.reached(frame, frame.f_lasti)
        return self.traced

    def monitored(self, code: CodeType, offset: int) -> None:
        ours = threading.get_ident() == self.thread and code.co_filename not in OURS
        if ours and not self.where:
            self.reached(sys._getframe(1), offset)

    def reached(self, frame: FrameType, offset: int) -> None:
        name = names(frame.f_code).get(offset, "")
        last = self.before.get(id(frame), "")
        self.before[id(frame)] = name
        if last.startswith(LETS_IN) and name != "RESUME":  # (where another frame has begun)
            self.left -= 1
            if not self.left:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                if monitoring is None:
                    sys.settrace(None)
                raise KeyboardInterrupt


def all_that_is_known(training: Training) -> list[float]:
    """Weights, statistics, and what the optimizer keeps (0 where it keeps nothing yet)."""
    found = training.weights()
    for parameter in training.model.parameters():
        kept = training.update.state[parameter].get("momentum_buffer")
        found += [0.0] * parameter.numel() if kept is None else kept.flatten().tolist()
    return found + [float(v) for b in training.model.buffers() for v in b.flatten().tolist()]


def statistics(training: Training) -> int:
    return sum(buffer.numel() for buffer in training.model.buffers())


@pytest.mark.parametrize(("executor", "known", "stride"), CASES)
def test_a_step_is_done_or_not_begun(executor: str, known: int, stride: int) -> None:
    """Weights, their statistics and the optimizer's state are those before or after the step, and
    the steps that follow are those that would have followed. (The statistics belong to the forward
    pass: they may be a step ahead.)
    """
    one_by_one(executor)
    with mode(executor):
        fresh()  # (what was compiled stays so, whatever the executor)
        training = Training()
        for _ in range(2):  # what the first run compiles, the others know
            training.start()
            history = [all_that_is_known(training)]
            for _ in range(known + 4):
                training.step().item()
                history.append(all_that_is_known(training))
        expected = np.array(history)
        count = -statistics(training)
        place, tried = 1, 0
        while True:
            training.start()
            if known < 2:
                fresh()
            for _ in range(known):
                training.step().item()
            interrupting = Interrupting(place)
            if not interrupting.run(lambda: training.step().item()):
                break
            found = np.array(all_that_is_known(training))
            gaps = np.abs(expected[known : known + 2] - found)[:, :count].max(1)
            at = known + int(gaps.argmin())
            near = np.allclose(found[:count], expected[at, :count], rtol=1e-3, atol=1e-5)
            assert near, (interrupting.where, found - expected[at])
            ahead = [np.allclose(found, expected[k], 1e-3, 1e-5) for k in (known, known + 1)]
            rest = np.allclose(found[count:], expected[known + 1, count:], 1e-3, 1e-5)
            assert any(ahead) or rest, (interrupting.where, found - expected[at])
            for _ in range(2):
                training.step().item()
            later = np.array(training.weights())
            wanted = expected[at + 2, : len(later)]
            np.testing.assert_allclose(later, wanted, 1e-3, 1e-5, err_msg=interrupting.where)
            place += max(1, stride // TIMES)
            tried += 1
    assert tried > 5


def wait_for(done: Callable[[], bool]) -> bool:
    """Whether it is so within a time that is long even on a busy machine."""
    end = time.monotonic() + 20
    while not done() and time.monotonic() < end:
        time.sleep(1e-3)
    return done()


def test_threads_that_work_beside_begin_or_do_not() -> None:
    """An interrupt while work is given to other threads leaves none that has begun half: later work
    is done, and the threads end.
    """
    place = 1
    while True:
        workers = Workers(f"interrupted {place}", 2)
        interrupting = Interrupting(place)
        if not interrupting.run(lambda: workers.ask(lambda: 1).result()):
            break
        later = [workers.ask(lambda n=n: n) for n in range(3)]
        where = place, interrupting.where
        assert wait_for(lambda: all(outcome.done() for outcome in later)), where
        assert [outcome.result() for outcome in later] == [0, 1, 2], where
        assert wait_for(lambda: not any(t.name == workers.name for t in threading.enumerate())), (
            where
        )
        place += 1
    assert place > 10
