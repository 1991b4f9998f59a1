"""`Checkpoint`: the last few states of a training run on disk, and the way back into it."""

from __future__ import annotations

import os
import pickle
import random
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.functional.generators import default_generator
from flambeau.serialization import load, save

__all__ = ["Checkpoint"]

_NAME = re.compile(r"step-(\d+)\.pt")
_LEFT = re.compile(r"\.step-\d+\.pt\..*\.tmp")
_PARTS, _MORE, _STEP, _RANDOM = "parts", "more", "step", "random"


class Checkpoint:
    """Saves and restores what a run consists of: anything with state_dict and load_state_dict.

    `parts` are named as the run likes: model, optimizer, scheduler, loader, ... `save` also keeps
    the states of Flambeau's, NumPy's and Python's generators. The `keep` newest files stay in
    `folder`; each is written whole or not at all.

        kept = Checkpoint("run1", model=model, optimizer=optimizer, loader=loader)
        begun = kept.resume() or {"step": 0}
        ...
        kept.save(step, epoch=epoch)

    TypeError for a part that has no state. ValueError for keep < 1.
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: int = 3, **parts: Any) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        for name, part in parts.items():
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise TypeError(f"{name} has no state_dict() and load_state_dict()")
        self.folder = Path(folder)
        self.keep = keep
        self.parts = parts

    def files(self) -> list[Path]:
        """The files there are, the oldest step first."""
        found = []
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                match = _NAME.fullmatch(file.name)
                if match:
                    found.append((int(match[1]), file))
        return [file for _, file in sorted(found)]

    def save(self, step: int, **more: Any) -> Path:
        """Write the state after `step`; `more` (numbers, lists, tensors) comes back from `resume`.

        Files beyond the `keep` newest steps are removed, as is what killed runs left half written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            _STEP: int(step),
            _PARTS: {name: part.state_dict() for name, part in self.parts.items()},
            _RANDOM: _random_state(),
            _MORE: more,
        }
        file = self.folder / f"step-{int(step):010d}.pt"
        save(state, file)
        for old in self.files()[: -self.keep]:
            old.unlink(missing_ok=True)
        for left in self.folder.iterdir():
            if _LEFT.fullmatch(left.name):
                left.unlink(missing_ok=True)
        return file

    def resume(self, file: str | os.PathLike[str] | None = None) -> dict[str, Any] | None:
        """Restore the newest state (or that of `file`); {"step": ..., what `save` was given}.

        None where there is no file. A damaged file is passed over with a warning, unless it is
        the one that was asked for. KeyError where the file lacks one of the parts.
        """
        if file is not None:
            return self._restore(load(file))
        for newest in reversed(self.files()):
            try:
                state = load(newest)
            except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
                warnings.warn(f"{newest} cannot be read, an older one is: {error}", stacklevel=2)
                continue
            return self._restore(state)
        return None

    def _restore(self, state: Any) -> dict[str, Any]:
        missing = [name for name in self.parts if name not in state[_PARTS]]
        if missing:
            raise KeyError(f"the checkpoint has no {', '.join(missing)}")
        for name, part in self.parts.items():
            part.load_state_dict(state[_PARTS][name])
        _set_random_state(state[_RANDOM])
        return {"step": state[_STEP], **state[_MORE]}


def _random_state() -> dict[str, Any]:
    kind, words, *rest = np.random.get_state(legacy=True)
    return {
        "flambeau": default_generator.get_state(),
        "python": random.getstate(),
        "numpy": [str(kind), np.asarray(words).tolist(), *rest],
    }


def _set_random_state(state: dict[str, Any]) -> None:
    default_generator.set_state(state["flambeau"])
    random.setstate(state["python"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, np.array(words, np.uint32), *rest))
