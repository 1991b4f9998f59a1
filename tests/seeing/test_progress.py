"""`flambeau.progress`: what it hands on, what it writes where, and that values cost nothing."""

from __future__ import annotations

import io
import random
import re
import time
from typing import Any

import pytest

import flambeau
from flambeau.record.statistics import STATISTICS
from flambeau.seeing.progress import Meter, duration, rate_text


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(bar: Any, out: io.StringIO) -> list[str]:
    return re.split(r"[\r\n]+", out.getvalue().replace("\x1b[K", "").strip())


@pytest.mark.parametrize("kind", [io.StringIO, Screen])
def test_items_pass_and_the_end_is_told(kind: Any) -> None:
    items = [random.random() for _ in range(7)]
    out = kind()
    bar = flambeau.progress(items, "train", every=0, file=out)
    assert len(bar) == 7
    seen = []
    for item in bar:
        seen.append(item)
        bar.set(loss=item, note="x")
        time.sleep(0.001)
    assert seen == items
    last = lines(bar, out)[-1]
    assert re.match(r"train  7/7 .*\d+:\d\d  [\d.,]+/s  loss [\d.e-]+  note x$", last), last
    assert f"loss {items[-1]:.4g}" in last
    assert out.getvalue().endswith("\n")


def test_loaders_again_and_unknown_lengths() -> None:
    loader = flambeau.utils.data.DataLoader(flambeau.arange(10), batch_size=4)
    out = io.StringIO()
    bar = flambeau.progress(loader, file=out, every=100)
    for _ in range(2):
        assert [len(batch) for batch in bar] == [4, 4, 2]
    assert [line.split()[0] for line in lines(bar, out)] == ["3/3", "3/3"]
    out = io.StringIO()
    bar = flambeau.progress(iter("abc"), file=out)
    assert list(bar) == list("abc") and out.getvalue().startswith("3  ")
    with pytest.raises(TypeError, match="no length"):
        len(bar)
    assert len(flambeau.progress(iter("abc"), total=3)) == 3


def test_a_loop_that_is_left_says_how_far_it_was() -> None:
    out = io.StringIO()
    for item in flambeau.progress(range(9), file=out):
        if item == 4:
            break
    assert out.getvalue().startswith("4/9 ")  # the fifth was not finished
    with pytest.raises(ZeroDivisionError):
        for item in flambeau.progress(range(9), file=out):
            1 // (2 - item)
    assert lines(None, out)[-1].startswith("2/9 ")
    assert list(flambeau.progress(range(3), show="off", file=out)) == [0, 1, 2]
    assert len(lines(None, out)) == 2


def test_a_tensor_is_shown_once_it_is_computed_and_never_made_to_run() -> None:
    x = flambeau.randn(3).tolist()
    out = io.StringIO()
    bar = flambeau.progress(range(3), file=out, every=0)
    (flambeau.ones(2) + 1).tolist()
    ran = STATISTICS.reference_runs + STATISTICS.compiled_runs
    losses = []
    for step in bar:
        loss = flambeau.full((), x[step]) * 2
        losses.append(loss)
        bar.set(loss=loss)
        time.sleep(0.11)
    assert STATISTICS.reference_runs + STATISTICS.compiled_runs == ran
    assert "loss" not in out.getvalue()
    for step in bar:
        bar.set(loss=losses[step])
        assert losses[step].item() == pytest.approx(2 * x[step])
        time.sleep(0.11)
    assert f"loss {losses[1].item():.4g}" in out.getvalue()


@pytest.mark.parametrize(
    ("args", "options", "error", "text"),
    [
        ((3,), {}, TypeError, "iterate over"),
        (([],), {"show": "x"}, ValueError, "terminal, notebook, lines, off"),
        (([],), {"every": -1}, ValueError, "every"),
        (([],), {"total": -1}, ValueError, "total"),
    ],
)
def test_mistakes(args: Any, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        flambeau.progress(*args, **options)


def test_the_line_fits_and_says_what_is_left() -> None:
    meter = Meter("train", 100, {"loss": 0.123456})
    meter.began -= 10
    meter._past[0] = (meter.began, 0)
    meter.at(25)
    assert meter.text() == "train  25/100  0:10, 0:30 left  2.5/s  loss 0.1235"
    assert meter.text(width=90).count("█") == 5 and len(meter.text(width=90)) < 90
    assert len(meter.text(width=30)) == 29
    assert [duration(s) for s in (7.4, 754, 3723)] == ["0:07", "12:34", "1:02:03"]
    assert [rate_text(r) for r in (1234.4, 12.34, 0.25)] == ["1,234/s", "12.3/s", "4.0 s each"]
