"""Every module of PyTorch's database of modules, beside PyTorch's: see `module_database.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import module_database as modules

pytestmark = pytest.mark.parity

SAMPLES = 40  # per entry, in training and in evaluation each

ENTRIES = {modules.name_of(info): info for info in modules.entries()}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_module(name: str) -> None:
    report = modules.run(ENTRIES[name], SAMPLES)
    print(report.line())
    if report.missing:
        pytest.skip(f"torch.nn.{name} is not there yet")
    assert report.samples and not report.notes, report.line()
