"""What tests of random programs share."""

from __future__ import annotations

import pytest

from flambeau.record.options import OPTIONS


@pytest.fixture
def few_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program comes again in another batch: what is known of them need not be kept."""
    monkeypatch.setattr(OPTIONS, "states", 10_000)
