"""docs/layout.md names what is there, all of it; and every exception to a rule says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "flambeau"
LISTED = ("record", "functional")  # rooms whose files the layout lists
LAYOUT = (ROOT / "docs" / "layout.md").read_text("utf-8")


def folders(below: Path) -> set[str]:
    """Folders with Python files in them, as the layout writes them."""
    found = {file.parent.relative_to(below).as_posix() for file in below.rglob("*.py")}
    return {name for name in found if name != "." and "__pycache__" not in name}


def named() -> set[str]:
    """What the layout names in backquotes, without slashes at the end."""
    return {name.rstrip("/") for name in re.findall(r"`([^`\n]+)`", LAYOUT)}


def to_come() -> set[str]:
    sentence = re.search(r"until they are built:(.*?)\n\n", LAYOUT, re.S)
    return set(re.findall(r"`([^`]+)`", sentence[1])) if sentence else set()


def test_paths_that_the_layout_names_exist() -> None:
    paths = {name for name in named() if re.fullmatch(r"[\w.]+(/[\w.]+)+|\w+\.(py|pyi)", name)}
    assert len(paths) > 60
    above = (ROOT, HOUSE, *(HOUSE / room for room in LISTED))
    missing = {p for p in paths if not any((folder / p).exists() for folder in above)}
    assert missing == {name for name in to_come() if "/" in name}
    assert not [name for name in to_come() if (HOUSE / name).exists()], "these are built now"


@pytest.mark.parametrize("place", ["flambeau", "tests"])
def test_every_folder_is_in_the_layout(place: str) -> None:
    prefix = "" if place == "flambeau" else f"{place}/"
    missing = {prefix + name for name in folders(ROOT / place)} - named()
    assert not missing, f"name these in docs/layout.md: {sorted(missing)}"


def test_every_file_that_stands_alone_is_in_the_layout() -> None:
    files = {file.name for file in HOUSE.glob("*.py") if not file.name.startswith("_")}
    for folder in ("bench", "tools", "docs"):
        files |= {f"{folder}/{f.name}" for f in (ROOT / folder).iterdir() if f.is_file()}
    missing = files - named() - {"docs/layout.md"}
    assert not missing, f"name these in docs/layout.md: {sorted(missing)}"


@pytest.mark.parametrize("room", LISTED)
def test_every_file_of_the_large_rooms_is_in_the_layout(room: str) -> None:
    section = LAYOUT.split(f"### The files of `{room}`")[1].split("\n#")[0]
    listed = set(re.findall(r"`(\w+\.py)`", section))
    there = {file.name for file in (HOUSE / room).glob("*.py") if file.name != "__init__.py"}
    assert listed == there, f"mend docs/layout.md: {sorted(listed ^ there)}"


def test_every_exception_to_a_rule_says_why() -> None:
    bare = []
    for folder in ("flambeau", "tests", "bench", "tools", "examples"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
                if re.search(r"#\s*noqa(?!: [A-Z]+\d+(, [A-Z]+\d+)* +\(.+\))", line):
                    bare.append(f"{file.relative_to(ROOT)}:{number} {line.strip()}")
    assert not bare, "\n".join(bare)
