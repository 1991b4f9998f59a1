"""Anomaly detection: backward passes say which function has returned NaN, and where it was made."""

from __future__ import annotations

import linecache
import warnings
from typing import Any

from flambeau.autograd import engine
from flambeau.record import recorder
from flambeau.record.anomaly import Place, function_name, operand_number, state_of
from flambeau.record.tree import State


class _Mode:
    """Whether anomaly mode is on, and whether it looks for NaN."""

    on = False
    check_nan = True


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return _Mode.on


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN."""
    return _Mode.check_nan


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turns anomaly detection on or off: the engine asks for it only while it is on."""
    _Mode.on, _Mode.check_nan = mode, check_nan
    engine.DETECTION.mode = AnomalyDetection() if mode else None


class AnomalyDetection:
    """What the engine asks in anomaly mode."""

    @property
    def check_nan(self) -> bool:
        return _Mode.check_nan

    def check(self, flags: Any, places: tuple[Place, ...], last: State, frames: list[Any]) -> None:
        """RuntimeError where a function has returned NaN; `flags` has 1.0 at its place."""
        for found, place in zip(flags.tolist(), places, strict=True):
            if found:
                state = last if place.position < 0 else frames[place.position].trace.state
                state = state_of(state, place.event)
                self.warn(state)
                raise RuntimeError(
                    f"Function '{function_name(state)}' returned nan values in its "
                    f"{operand_number(state, place.operand)}th output."
                )

    def warn(self, state: State) -> None:
        """Says where the program recorded the op that led to a state."""
        where = ""
        if state.place is not None:
            name, number, _ = state.place
            text = linecache.getline(name, number).strip()
            where = f'  File "{name}", line {number}\n' + (f"    {text}\n" if text else "")
        warnings.warn(
            f"Error detected in {function_name(state)}. Traceback of forward call that caused the "
            f"error:\n{where}",
            UserWarning,
            stacklevel=2,
        )

    def explain(self, error: RuntimeError) -> RuntimeError:
        """An error of the pass itself, such as a saved tensor that was overwritten."""
        event = error.__dict__.get("event")
        rec = recorder.LOCAL.rec
        if event is None or not error.args:
            return error
        self.warn(state_of(rec.state, event))
        hint = str(error.args[0]).find("Hint: enable anomaly detection")
        if hint >= 0:
            error.args = (
                error.args[0][:hint] + "Hint: the backtrace further above shows the operation that "
                "failed to compute its gradient. The variable in question was changed in there or "
                "anywhere later. Good luck!",
            )
        return error


class detect_anomaly:
    """Within, backward passes say which function has returned NaN (see `set_detect_anomaly`)."""

    def __init__(self, check_nan: bool = True) -> None:
        self.previous = _Mode.on, _Mode.check_nan
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.previous = _Mode.on, _Mode.check_nan
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *exc: Any) -> None:
        set_anomaly_enabled(*self.previous)


class set_detect_anomaly:
    """Turns anomaly detection on or off; as a context manager, for its block.

    While it is on, a backward pass raises RuntimeError that names the first function to return NaN
    (with `check_nan`), and a warning shows the line of the forward pass that made it.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = _Mode.on, _Mode.check_nan
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: Any) -> None:
        set_anomaly_enabled(*self.previous)
