"""Tables of cases run op by op: compiled programs are tested where programs are."""

from __future__ import annotations

import pytest

from flambeau.record.options import OPTIONS


@pytest.fixture(autouse=True)
def _uncompiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("parametrize") is not None:
        monkeypatch.setattr(OPTIONS, "executor", "reference")
