"""Tests of the recorder count what steps hold, allocate and run: what a process does once, when it
has made many tensors, is done before them.
"""

from __future__ import annotations

import pytest

from flambeau.record import recorder
from flambeau.record.entering import PLAIN


@pytest.fixture(scope="session", autouse=True)
def native_calls_of_plain_data() -> None:
    if PLAIN.left > 0:
        recorder.done_by_python(PLAIN.left)
