"""What layers, losses and optimizers say of arguments that are missing, too many or unknown."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def classes() -> list[str]:
    found = [f"nn.{n}" for n in dir(reference.nn)] + [f"optim.{n}" for n in dir(reference.optim)]
    return [name for name in found if _class(reference, name) and _class(flambeau, name)]


def _class(torch: Any, name: str) -> Any:
    room, _, leaf = name.partition(".")
    value = getattr(getattr(torch, room), leaf, None)
    public = not leaf.startswith("_") and leaf not in ("Container", "Optimizer")
    return value if public and inspect.isclass(value) else None


def said(torch: Any, name: str) -> list[str]:
    found = []
    for args, options in (((), {}), ((1,) * 30, {}), ((), {"nokey": 1})):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _class(torch, name)(*args, **options)
            except TypeError as error:
                found.append(str(error))
            except Exception as error:
                found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("name", classes())
def test_as_in_pytorch(name: str) -> None:
    assert said(flambeau, name) == said(reference, name)


def test_a_class_of_the_users_own_inherits_the_name() -> None:
    class Mine(flambeau.nn.Conv2d):
        pass

    with pytest.raises(TypeError, match=r"^Conv2d\.__init__\(\) missing 3"):
        Mine()  # type: ignore[call-arg]
