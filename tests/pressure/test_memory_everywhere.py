"""Memory that is not there, at every place where NumPy asks for some, one after another."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

import flambeau as fb
from flambeau.record.storage import Storage
from tests.programs.modes import mode

from . import TIMES
from .failing_memory import Failing
from .test_interrupts import Training, fresh, one_by_one
from .test_interrupts_everywhere import all_that_is_known, statistics

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses the C library's memory")

FOR_GOOD = 1 << 40
# (executor, steps before the one that finds too little, of how many places one is tried, at first)
CASES = [
    ("recognised", 4, 1),
    ("replayed", 6, 1),
    ("reference", 4, 19),
    ("reference", 0, 83),
    ("recognised", 1, 61),
    ("compiled", 0, 23),
]


def storages() -> int:
    gc.collect()
    return sum(type(thing) is Storage for thing in gc.get_objects())


@pytest.mark.parametrize("times", [1, 2, FOR_GOOD])
@pytest.mark.parametrize(("executor", "known", "stride"), CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # (NumPy's, of a number without memory)
def test_a_step_is_done_or_not_begun(executor: str, known: int, stride: int, times: int) -> None:
    """A step that finds no memory raises, or goes on with what plans give back. Weights and the
    optimizer's state are those before or after it, and the steps that follow those that would have
    followed, here and in other threads.
    """
    one_by_one(executor)
    with mode(executor):
        fresh()
        training = Training()
        for _ in range(2):
            training.start()
            history = [all_that_is_known(training)]
            for _ in range(known + 4):
                training.step().item()
                history.append(all_that_is_known(training))
        expected = np.array(history)[:, : -statistics(training)]
        place, tried, held = 1, 0, 0
        while True:
            training.start()
            if known < 2:
                fresh()
            for _ in range(known):
                training.step().item()
            failing = Failing(place, times)
            error = failing.run(lambda: training.step().item())
            if not failing.failed:
                break
            found = np.array(all_that_is_known(training))[: expected.shape[1]]
            gaps = np.abs(expected[known : known + 2] - found).max(1)
            at = known + int(gaps.argmin())
            np.testing.assert_allclose(found, expected[at], 1e-3, 1e-5, err_msg=str(error))
            assert error is not None or at == known + 1
            assert isinstance(error, (type(None), RuntimeError, MemoryError, SystemError)), error
            for _ in range(2):
                training.step().item()
            later = np.array(training.weights())
            np.testing.assert_allclose(later, expected[at + 2, : len(later)], 1e-3, 1e-5)
            if not tried:
                elsewhere: list[float] = []
                thread = threading.Thread(target=lambda: elsewhere.append(fb.ones(3).sum().item()))
                thread.start()
                thread.join(60)
                assert elsewhere == [3.0]
            place += max(1, stride // TIMES)
            tried += 1
            if tried == 3:
                held = storages()
        assert tried or known > 1  # (a step that is known may ask for none)
        assert not held or storages() < held + 100
