"""`flambeau doctor`: a healthy machine is called so, and faults are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau.cli import doctor, main
from flambeau.execute.cpu import objects
from flambeau.record.options import OPTIONS


def lines(capsys: Any) -> list[str]:
    return list(capsys.readouterr().out.splitlines())


def test_a_healthy_machine(capsys: Any) -> None:
    assert main(["doctor"]) == 0
    printed = lines(capsys)
    assert printed[-1] == "All is well."
    assert not [line for line in printed if line.startswith("WRONG")]
    for family in doctor.FAMILIES:
        assert any(f"kernels: {family}: off by" in line for line in printed), family
    assert OPTIONS.executor in ("auto", "reference", "compiled")


def test_wrong_numbers_are_found(capsys: Any, monkeypatch: Any) -> None:
    def wrong() -> list[Any]:
        off = 1e-3 if OPTIONS.executor == "compiled" else 0.0
        return [flambeau.ones(3) + off]

    monkeypatch.setattr(doctor, "FAMILIES", {"sums": wrong})
    assert doctor.examine() == 1
    printed = lines(capsys)
    assert "WRONG  kernels: sums: off by 1.0e-03" in printed
    assert printed[-1] == "Something is wrong: see above."


def test_a_check_that_fails_is_a_finding(capsys: Any, monkeypatch: Any) -> None:
    def _broken() -> Iterator[doctor.Finding]:
        raise OSError("no such thing")
        yield

    monkeypatch.setattr(doctor, "CHECKS", [_broken])
    assert doctor.examine() == 1
    assert "OSError: no such thing" in "\n".join(lines(capsys))


def test_a_cache_that_cannot_be_used(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(shared))
    objects.default_cache.cache_clear()
    monkeypatch.setattr(doctor, "CHECKS", [doctor._kernel_cache])
    try:
        assert doctor.examine() == 0
    finally:
        objects.default_cache.cache_clear()
    printed = lines(capsys)
    assert "note   kernel cache: no folder can be used" in printed
    assert any("FLAMBEAU_CACHE_DIR (mode 700" in line for line in printed)


def test_too_many_threads(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "CHECKS", [doctor._threads])
    before = flambeau.get_num_threads()
    flambeau.set_num_threads(500)
    try:
        assert doctor.examine() == 0
    finally:
        flambeau.set_num_threads(before)
    assert "more threads than CPUs are slow" in "\n".join(lines(capsys))


def test_arguments_are_refused(capsys: Any) -> None:
    assert main(["doctor", "now"]) == 2
    assert "doctor takes no arguments, got 'now'" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(doctor.FAMILIES))
def test_families_do_what_they_are_named_for(name: str) -> None:
    found = doctor.FAMILIES[name]()
    assert len(found) >= 2
    assert all(t.numel() and bool((t.double() != 0).any()) for t in found)
